import { Sandbox } from 'e2b';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY, type Answer } from './fake-world.js';
import { runPypiClient } from './pypi-client.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.waitsFor.clear();
  world.limits = {};
});

const create = (body: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  world.api('POST', '/v2/sandboxes', { templateID: 'base', ...body }, headers);
const ofB = { 'x-api-key': 'key-b' };

function expectFull(answer: Answer, text: RegExp): void {
  expect([answer.status, answer.body.code, answer.body.message]).toEqual([429, 429, expect.stringMatching(text)]);
  expect([answer.headers.get('should-retry'), answer.headers.get('retry-after')]).toEqual(['false', null]);
}

test('a full quota refuses a create with what is full, how much is used and what frees it; other tenants go on', async () => {
  world.limits = { a: { runningSandboxes: 1 } };
  world.add('i1');
  expectFull(await create(), /running sandboxes is full: 1 of 1 are used, and this needs 1 more\..* Kill or pause/);
  expect(world.calls).toEqual([]);
  expect((await create({}, ofB)).status).toBe(201);
});

test.each([
  [{ cpus: 3 }, /virtual CPUs is full: 2 of 3/],
  [{ memoryMiB: 1000 }, /MiB of memory is full: 512 of 1000/],
  [{ diskMiB: 8000 }, /MiB of disk is full: 4096 of 8000/],
])('the quota %j', async (limits, text) => {
  world.limits = { a: limits };
  world.add('i1');
  expectFull(await create(), text);
});

test('of creates that come at once as many are made as the quota has room for', async () => {
  world.limits = { a: { runningSandboxes: 3 } };
  world.delayMs = 50;
  const answers = await Promise.all(Array.from({ length: 12 }, () => create()));
  world.delayMs = 0;
  expect(answers.map(({ status }) => status).sort()).toEqual([
    ...Array<number>(3).fill(201),
    ...Array<number>(9).fill(429),
  ]);
  expect(world.views.size).toBe(3);
});

test('warm machines that are taken at once count as any', async () => {
  world.limits = { a: { runningSandboxes: 2 } };
  world.report = { ...world.report, warm: ['w1', 'w2', 'w3', 'w4'].map((id) => ({ id, templateKey: 'k1' })) };
  const answers = await Promise.all(Array.from({ length: 4 }, () => create()));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 429, 429]);
  delete world.report.warm;
});

test('a create that fails gives its share back', async () => {
  world.limits = { a: { runningSandboxes: 1 } };
  world.failNext.set('create', 'CreateFailed');
  expect((await create()).status).toBe(500);
  expect((await create()).status).toBe(201);
});

test('a create of which nobody knows the outcome keeps its share until its sandbox is killed', async () => {
  world.limits = { a: { runningSandboxes: 1 } };
  world.failNext.set('create', 'OutcomeUnknown');
  expect((await create()).status).toBe(504);
  expectFull(await create(), /1 of 1/);
  const { id } = world.calls.find(({ verb }) => verb === 'create')!;
  world.add(id);
  expect((await world.api('DELETE', `/sandboxes/${id}`)).status).toBe(204);
  expect((await create()).status).toBe(201);
});

test('a repeat by its Idempotency-Key is answered though the quota is full by then', async () => {
  world.limits = { a: { runningSandboxes: 1 } };
  const first = await create({}, { 'idempotency-key': 'k1' });
  const again = await create({}, { 'idempotency-key': 'k1' });
  expect([first.status, again.status, again.body.sandboxID]).toEqual([201, 201, first.body.sandboxID]);
  expectFull(await create({}, { 'idempotency-key': 'k2' }), /1 of 1/);
});

test('a limit that is raised counts for the next create', async () => {
  world.limits = { a: { runningSandboxes: 0 } };
  expectFull(await create(), /0 of 0/);
  world.limits = { a: { runningSandboxes: 1 } };
  expect((await create()).status).toBe(201);
});

describe('a sleeping sandbox', () => {
  const wakes: [string, string][] = [
    ['POST', '/sandboxes/i1/connect'],
    ['POST', '/v2/sandboxes/i1/connect'],
    ['POST', '/sandboxes/i1/resume'],
  ];

  test.each(wakes)(
    '%s %s is refused while the tenant runs as many as it may, and stays asleep',
    async (method, path) => {
      world.limits = { a: { runningSandboxes: 1 } };
      world.add('i1', { status: 'paused' });
      world.add('i2');
      expectFull(await world.api(method, path, { timeout: 60 }), /running sandboxes is full/);
      expect(world.calls).toEqual([]);
      world.views.delete('i2');
      expect((await world.api(method, path, { timeout: 60 })).status).toBe(201);
    },
  );

  test('of many that are connected at once, as many wake as there is room for', async () => {
    world.limits = { a: { memoryMiB: 1024 } };
    world.delayMs = 50;
    for (let n = 0; n < 6; n++) world.add(`i${n}`, { status: 'paused' });
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => world.api('POST', `/v2/sandboxes/i${n}/connect`, {})),
    );
    world.delayMs = 0;
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 429, 429, 429, 429]);
  });

  test('that runs already is connected to however full the quota is', async () => {
    world.limits = { a: { runningSandboxes: 0 } };
    world.add('i1');
    expect((await world.api('POST', '/v2/sandboxes/i1/connect', {})).status).toBe(200);
  });

  test('is not woken by traffic beyond the quota, and the visitor is told no figures', async () => {
    world.limits = { a: { runningSandboxes: 0 } };
    world.add('i9', { status: 'paused' }, { autoResume: true });
    const answer = await fetch(`${world.proxyUrl}/x`, {
      headers: { 'e2b-sandbox-id': 'i9', 'e2b-sandbox-port': '8080' },
    });
    expect(answer.status).toBe(429);
    expect([answer.headers.get('should-retry'), answer.headers.get('retry-after')]).toEqual(['false', null]);
    expect(await answer.text()).not.toMatch(/\d of \d/);
    expect(world.views.get('i9')?.status).toBe('paused');
  });

  test('is not woken by its owner’s call beyond the quota, and the owner, nobody else, is told what is full', async () => {
    world.limits = { a: { runningSandboxes: 0 } };
    const token = accessToken(TOKENS_KEY, world.add('i9', { status: 'paused' }, { autoResume: true }).spec);
    const signature = signFile({ path: '/a', operation: 'read', user: '', expiration: undefined }, token);
    const at = async (path: string, port: number, headers: Record<string, string> = {}): Promise<string> => {
      const routing = { 'e2b-sandbox-id': 'i9', 'e2b-sandbox-port': String(port) };
      const answer = await fetch(world.proxyUrl + path, { headers: { ...routing, ...headers } });
      expect([answer.status, answer.headers.get('should-retry')]).toEqual([429, 'false']);
      return ((await answer.json()) as { message: string }).message;
    };
    const full = /your quota of running sandboxes is full: 0 of 0 are used, .* Kill or pause a running sandbox/;
    expect(await at('/files?path=/a', 49_983, { 'x-access-token': token })).toMatch(full);
    const signed = new URLSearchParams({ path: '/a', signature });
    expect(await at(`/files?${signed}`, 49_983)).not.toMatch(/\d of \d|quota of/);
    expect(await at('/x', 8080, { 'x-access-token': token })).not.toMatch(/\d of \d|quota of/);
  });
});

describe('the quota of sleeping sandboxes', () => {
  test('refuses a pause, which leaves the sandbox running', async () => {
    world.limits = { a: { sleepingSandboxes: 1 } };
    world.add('i1', { status: 'paused' });
    world.add('i2');
    expectFull(await world.api('POST', '/sandboxes/i2/pause'), /paused sandboxes .* is full: 1 of 1 .* Kill a paused/);
    expect(world.views.get('i2')?.status).toBe('running');
    world.views.delete('i1');
    expect((await world.api('POST', '/sandboxes/i2/pause')).status).toBe(204);
  });

  test('never holds up a pause by timeout: a create of such a sandbox takes its place', async () => {
    world.limits = { a: { sleepingSandboxes: 1 } };
    expect((await create({ autoPause: true })).status).toBe(201);
    expectFull(await create({ autoPause: true }), /1 of 1/);
    expect((await create()).status).toBe(201);
    const [auto] = [...world.views.values()].filter(({ spec }) => spec.onTimeout === 'pause');
    expect((await world.api('POST', `/sandboxes/${auto!.spec.id}/pause`)).status).toBe(204);
  });

  test('counts bytes', async () => {
    world.limits = { a: { sleepingMiB: 512 } };
    world.add('i1', { status: 'paused' });
    world.add('i2');
    expectFull(await world.api('POST', '/sandboxes/i2/pause'), /MiB of paused memory .* is full: 1 of 512/);
  });

  test.each([
    ['POST', '/sandboxes/i1/connect'],
    ['POST', '/v2/sandboxes/i1/connect'],
    ['POST', '/sandboxes/i1/resume'],
  ])('refuses %s %s of one that its timeout would pause with more than there is room for', async (method, path) => {
    world.limits = { a: { sleepingMiB: 600 } };
    world.add('i1', { status: 'paused' }, { onTimeout: 'pause' });
    world.add('i2', { status: 'paused' }, { onTimeout: 'pause' });
    expect((await world.api('POST', '/v2/sandboxes/i2/connect', {})).status).toBe(201);
    const text = /MiB of paused memory .* is full: 513 of 600 are used, and this needs 511 more\..* Kill a paused/;
    expectFull(await world.api(method, path, { timeout: 60 }), text);
    expect(world.views.get('i1')?.status).toBe('paused');
    expect((await world.api('POST', '/v2/sandboxes/i2/connect', {})).status).toBe(200);
    world.views.delete('i2');
    expect((await world.api(method, path, { timeout: 60 })).status).toBe(201);
  });

  test('lets a resume change what the timeout does, if there is room', async () => {
    world.limits = { a: { sleepingMiB: 100 } };
    world.add('i1', { status: 'paused' });
    const resume = (autoPause: boolean): Promise<Answer> =>
      world.api('POST', '/sandboxes/i1/resume', { timeout: 60, autoPause });
    expectFull(await resume(true), /MiB of paused memory .* is full: 1 of 100/);
    expect((await resume(false)).status).toBe(201);
  });

  test('holds for traffic that wakes', async () => {
    world.limits = { a: { sleepingMiB: 100 } };
    world.add('i8', { status: 'paused' }, { autoResume: true, onTimeout: 'pause' });
    const headers = { 'e2b-sandbox-id': 'i8', 'e2b-sandbox-port': '8080' };
    expect((await fetch(`${world.proxyUrl}/x`, { headers })).status).toBe(429);
    expect(world.views.get('i8')?.status).toBe('paused');
  });
});

describe('a published client is told of a full quota after one request:', () => {
  /** What is asked of the hosts, once for each create that comes. */
  async function creates(run: () => Promise<unknown>): Promise<{ asked: number; error: string }> {
    let asked = 0;
    const useOf = world.useOf.bind(world);
    world.limits = { a: { runningSandboxes: 0 } };
    world.useOf = (tenant, named) => {
      asked += 1;
      return useOf(tenant, named);
    };
    try {
      await run();
      return { asked, error: '' };
    } catch (error) {
      return { asked, error: String(error) };
    } finally {
      world.useOf = useOf;
    }
  }

  test('e2b from npm', async () => {
    const options = { apiKey: 'key-a', apiUrl: world.apiUrl, validateApiKey: false };
    const { asked, error } = await creates(() => Sandbox.create('base', options));
    expect([asked, error]).toEqual([1, expect.stringMatching(/running sandboxes is full: 0 of 0/)]);
  });

  test('e2b from PyPI, which repeats every other 429', async () => {
    const program = 'from e2b import Sandbox; Sandbox.create()';
    const { asked, error } = await creates(() => runPypiClient(world.apiUrl, program));
    expect([asked, error]).toEqual([1, expect.stringMatching(/running sandboxes is full: 0 of 0/)]);
  }, 300_000);
});
