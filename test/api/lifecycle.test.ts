import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessToken, trafficToken } from '../../src/keys/access-token.js';
import { FakeWorld, TOKENS_KEY } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.waitsFor.clear();
  Object.assign(world, { delayMs: 0, lookedUp: 0 });
});

describe('pause', () => {
  test('answers 204 without a body and without a content type, then 409', async () => {
    world.add('i1');
    const first = await world.api('POST', '/sandboxes/i1/pause');
    expect([first.status, first.body]).toEqual([204, undefined]);
    expect(world.views.get('i1')?.status).toBe('paused');
    const second = await world.api('POST', '/sandboxes/i1/pause', { memory: true });
    expect([second.status, second.body.code]).toEqual([409, 409]);
  });

  test('many at once are one update, and all get its outcome', async () => {
    world.add('i1');
    world.delayMs = 300;
    world.waitsFor.set('pause', () => world.lookedUp >= 20);
    const answers = await Promise.all(Array.from({ length: 20 }, () => world.api('POST', '/sandboxes/i1/pause', {})));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([204]));
    expect(world.countOf('pause')).toBe(1);
  });

  test('the update is named after verb and generation; a failed attempt gives its name up, an open one keeps it', async () => {
    world.add('i1', { generation: 7 });
    world.failNext.set('pause', 'OutcomeUnknown');
    expect((await world.api('POST', '/sandboxes/i1/pause')).status).toBe(504);
    world.failNext.set('pause', 'PauseFailed');
    expect((await world.api('POST', '/sandboxes/i1/pause')).status).toBe(500);
    expect((await world.api('POST', '/sandboxes/i1/pause')).status).toBe(204);
    expect(world.calls.map((call) => call.updateId)).toEqual(['pause:7', 'pause:7', 'pause:7:1']);
  });
});

describe('a rotation of tokens', () => {
  const rotate = (headers: Record<string, string> = {}) =>
    world.api('POST', '/sandboxes/i1/tokens/rotate', {}, headers);

  test.each(['running', 'paused'] as const)(
    'of a %s sandbox answers new ones, which count from then on',
    async (status) => {
      world.add('i1', { status }, { allowPublicTraffic: false });
      const before = await world.api('GET', '/sandboxes/i1');
      const { status: code, body } = await rotate();
      expect([code, body.sandboxID]).toEqual([200, 'i1']);
      const { spec } = world.views.get('i1')!;
      expect(body).toMatchObject({
        envdAccessToken: accessToken(TOKENS_KEY, spec),
        trafficAccessToken: trafficToken(TOKENS_KEY, spec),
      });
      expect(body.envdAccessToken).not.toBe(before.body.envdAccessToken);
      expect((await world.directory.locate('i1'))?.owner).toEqual({ id: 'i1', tokenNonce: spec.tokenNonce });
    },
  );

  test('is its owner’s, and two at once are one', async () => {
    world.add('i1');
    expect((await rotate({ 'x-api-key': 'key-b' })).status).toBe(404);
    world.delayMs = 50;
    world.waitsFor.set('rotateTokens', () => world.lookedUp >= 2);
    const [one, other] = await Promise.all([rotate(), rotate()]);
    expect([world.countOf('rotateTokens'), other!.body]).toEqual([1, one!.body]);
  });

  test('that is not done yet says so', async () => {
    world.add('i1');
    world.failNext.set('rotateTokens', 'OutcomeUnknown');
    expect((await rotate()).status).toBe(504);
  });
});

describe('connect', () => {
  test('wakes a paused sandbox with 201 and the token that it always had', async () => {
    world.add('i1', { status: 'paused' });
    const { status, body } = await world.api('POST', '/sandboxes/i1/connect', { timeout: 77 });
    expect(status).toBe(201);
    expect(body).toMatchObject({ sandboxID: 'i1', envdAccessToken: accessToken(TOKENS_KEY, { id: 'i1' }) });
    expect(world.calls[0]).toMatchObject({ input: { timeoutMs: 77_000, mode: 'connect' }, updateId: 'resume:1' });
  });

  test('answers 200 for a running one and never shortens its time', async () => {
    const until = world.add('i1').endAt;
    const { status } = await world.api('POST', '/sandboxes/i1/connect', { timeout: 10 });
    expect([status, world.views.get('i1')?.endAt]).toEqual([200, until]);
  });

  test('two connects to a running sandbox are two updates: the second must not get the first one’s outcome', async () => {
    world.add('i1');
    await world.api('POST', '/v2/sandboxes/i1/connect', { timeout: 10 });
    const before = Date.now();
    await world.api('POST', '/v2/sandboxes/i1/connect', { timeout: 900 });
    expect(new Set(world.calls.map((call) => call.updateId)).size).toBe(2);
    expect(world.views.get('i1')?.endAt).toBeGreaterThanOrEqual(before + 900_000);
  });

  test('two hundred at once wake it with one update and no extension', async () => {
    world.add('i1', { status: 'paused' });
    world.delayMs = 400;
    world.waitsFor.set('resume', () => world.lookedUp >= 200);
    const connects = Array.from({ length: 200 }, () => world.api('POST', '/v2/sandboxes/i1/connect', {}));
    const answers = await Promise.all(connects);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    expect(world.calls.map((call) => call.verb)).toEqual(['resume']);
  });

  test('who joined with a longer timeout gets the longer timeout', async () => {
    world.add('i1', { status: 'paused' });
    world.delayMs = 200;
    world.waitsFor.set('resume', () => world.lookedUp >= 5);
    const seconds = [60, 4000, 60, 5000, 300];
    const before = Date.now();
    await Promise.all(seconds.map((timeout) => world.api('POST', '/v2/sandboxes/i1/connect', { timeout })));
    expect(world.calls.filter((call) => call.updateId?.startsWith('resume:'))).toHaveLength(1);
    expect(world.views.get('i1')?.endAt).toBeGreaterThanOrEqual(before + 5_000_000);
  });

  test('is refused with 409 while the sandbox is being killed, and 404 after', async () => {
    world.add('i1', { status: 'killing' });
    expect((await world.api('POST', '/sandboxes/i1/connect', { timeout: 5 })).status).toBe(409);
    world.views.delete('i1');
    expect((await world.api('POST', '/sandboxes/i1/connect', { timeout: 5 })).status).toBe(404);
  });

  test('ignores the stray routing headers of U10', async () => {
    world.add('i1');
    const stray = { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983' };
    expect((await world.api('POST', '/sandboxes/i1/connect', { timeout: 300 }, stray)).status).toBe(200);
  });
});

describe('resume', () => {
  test('answers 201 for a paused one, by default for 15 s, and 409 for a running one', async () => {
    world.add('i1', { status: 'paused' });
    const { status } = await world.api('POST', '/sandboxes/i1/resume', { autoPause: true });
    expect(status).toBe(201);
    expect(world.calls[0]?.input).toEqual({ mode: 'resume', timeoutMs: 15_000, onTimeout: 'pause' });
    expect((await world.api('POST', '/sandboxes/i1/resume', {})).status).toBe(409);
  });
});

describe('kill', () => {
  test('answers 204, then 404, and everything after is 404', async () => {
    world.add('i1', { status: 'paused' });
    expect((await world.api('DELETE', '/sandboxes/i1')).status).toBe(204);
    expect((await world.api('DELETE', '/sandboxes/i1')).status).toBe(404);
    expect((await world.api('POST', '/sandboxes/i1/pause')).status).toBe(404);
    expect((await world.api('GET', '/sandboxes/i1')).status).toBe(404);
    expect((await world.api('GET', '/v2/sandboxes')).body).toEqual([]);
  });
});

describe('timeout and refreshes', () => {
  test('timeout moves the deadline either way', async () => {
    world.add('i1');
    expect((await world.api('POST', '/sandboxes/i1/timeout', { timeout: 90 })).status).toBe(204);
    expect(world.calls[0]?.input).toEqual({ timeoutMs: 90_000, mode: 'set' });
  });

  test('a timeout of 0 is taken', async () => {
    world.add('i1');
    expect((await world.api('POST', '/sandboxes/i1/timeout', { timeout: 0 })).status).toBe(204);
    expect(world.calls[0]?.input).toEqual({ timeoutMs: 0, mode: 'set' });
  });

  test('refreshes only extends, by 15 s at least', async () => {
    world.add('i1');
    expect((await world.api('POST', '/sandboxes/i1/refreshes')).status).toBe(204);
    expect((await world.api('POST', '/sandboxes/i1/refreshes', { duration: 3 })).status).toBe(204);
    expect((await world.api('POST', '/sandboxes/i1/refreshes', { duration: 100 })).status).toBe(204);
    expect(world.calls.map((call) => call.input)).toEqual([
      { timeoutMs: 15_000, mode: 'extend' },
      { timeoutMs: 15_000, mode: 'extend' },
      { timeoutMs: 100_000, mode: 'extend' },
    ]);
    expect((await world.api('POST', '/sandboxes/i1/refreshes', { duration: -1 })).status).toBe(400);
  });
});

describe('get', () => {
  test('answers every required field, and what only the detail has', async () => {
    const view = world.add('i1', { status: 'paused' }, { metadata: { a: 'b' }, onTimeout: 'pause', autoResume: true });
    expect((await world.api('GET', '/sandboxes/i1')).body).toEqual({
      ...{ templateID: 'base', sandboxID: 'i1', clientID: 'dormouse', alias: 'base', envdVersion: '0.5.2' },
      ...{ cpuCount: 2, memoryMB: 512, diskSizeMB: 4096, state: 'paused', metadata: { a: 'b' } },
      startedAt: new Date(view.startedAt).toISOString(),
      endAt: new Date(view.endAt).toISOString(),
      ...{ domain: 'test.example', envdAccessToken: accessToken(TOKENS_KEY, { id: 'i1' }), allowInternetAccess: true },
      lifecycle: { onTimeout: 'pause', autoResume: true },
    });
  });

  test.each([
    ['creating', 'running'],
    ['running', 'running'],
    ['pausing', 'running'],
    ['paused', 'paused'],
    ['resuming', 'paused'],
  ] as const)('shows %s as %s', async (status, state) => {
    world.add('i1', { status });
    expect((await world.api('GET', '/sandboxes/i1')).body.state).toBe(state);
  });

  test.each(['killing', 'killed', 'failed'] as const)('answers 404 for one that is %s', async (status) => {
    world.add('i1', { status });
    expect((await world.api('GET', '/sandboxes/i1')).status).toBe(404);
  });
});

describe('a host that does not answer', () => {
  let silent: ReturnType<typeof createServer>;
  let halfDown: FakeWorld;
  beforeAll(async () => {
    silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    halfDown = await new FakeWorld().start([{ hostId: 'silent', url: `http://127.0.0.1:${port}` }]);
  });
  afterAll(async () => {
    await halfDown.stop();
    silent.close();
  });

  test('is given up, and left out of a list, which says so', async () => {
    halfDown.add('i1');
    const givenUp = new Promise((resolve) =>
      silent.once('connection', (socket) => socket.resume().on('error', resolve).once('close', resolve)),
    );
    const { status, headers, body } = await halfDown.api('GET', '/v2/sandboxes');
    await givenUp;
    expect([status, headers.get('x-dormouse-missing-hosts'), body.length]).toEqual([200, 'silent', 1]);
  });

  test('is bridged by the workflow for a sandbox that may be there', async () => {
    const view = halfDown.add('i2');
    halfDown.views.delete('i2');
    const workflows = new Map([['i2', view]]);
    halfDown.get = (id) => Promise.resolve(workflows.get(id));
    expect((await halfDown.api('GET', '/sandboxes/i2')).status).toBe(200);
    expect((await halfDown.api('GET', '/sandboxes/i3')).status).toBe(404);
  });

  test('makes an unknown template a 503, since it might have it', async () => {
    expect((await halfDown.api('POST', '/v2/sandboxes', { templateID: 'other' })).status).toBe(503);
    expect((await halfDown.api('POST', '/v2/sandboxes', { templateID: 'base' })).status).toBe(201);
  });
});

test('no host at all is a 503, never an empty list', async () => {
  const alone = await new FakeWorld().start();
  const nothing = { sandboxes: [], more: false, totalRunning: 0 };
  alone.directory.list = () => Promise.resolve({ found: nothing, missing: ['h1'], answered: 0 });
  const { status, body } = await alone.api('GET', '/v2/sandboxes');
  expect([status, body.code]).toEqual([503, 503]);
  await alone.stop();
});

test('a kill of a sandbox that no host has asks whether its workflow runs, and does not wake its history', async () => {
  expect((await world.api('DELETE', '/sandboxes/i404')).status).toBe(404);
  expect(world.calls.filter(({ verb }) => verb === 'get')).toEqual([
    { verb: 'get', id: 'i404', input: { onlyOpen: true } },
  ]);
});
