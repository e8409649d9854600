import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ApiKeys } from '../../src/api/api-keys.js';
import { OperatorKey } from '../../src/keys/operator-key.js';
import { FileTenantStore } from '../../src/tenants/tenant-store.js';
import { NO_LIMITS } from '../tenants/limits.js';
import { FakeWorld, type Answer } from './fake-world.js';

const DEFAULTS = { ...NO_LIMITS, runningSandboxes: 5, cpus: 20 };

let directory: string;
let world: FakeWorld;
let keys: ApiKeys;
let key: string;
let lines: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'operator-'));
  const at = (name: string): string => path.join(directory, name);
  const operatorKey = await OperatorKey.ensure(at('operator.key'));
  key = (await readFile(at('operator.key'), 'utf8')).trim();
  keys = new ApiKeys(at('api-keys.json'));
  const tenants = await FileTenantStore.open(at('tenants.json'), DEFAULTS, () => undefined);
  const log = pino({ level: 'trace' }, { write: (line) => (lines += line) });
  world = await new FakeWorld().with({ operatorKey, keys, tenants, log }).start();
});
afterAll(async () => {
  await world.stop();
  await rm(directory, { recursive: true });
});
beforeEach(() => {
  world.views.clear();
  lines = '';
});

/** As the operator. */
const operator = (method: string, at: string, body?: unknown, headers = {}): Promise<Answer> =>
  world.api(method, `/operator${at}`, body, { 'x-api-key': '', 'x-operator-key': key, ...headers });
/** As who has that key. */
const list = (apiKey: string): Promise<Answer> => world.api('GET', '/v2/sandboxes', undefined, { 'x-api-key': apiKey });
const create = (apiKey: string): Promise<Answer> =>
  world.api('POST', '/v2/sandboxes', { templateID: 'base' }, { 'x-api-key': apiKey });
const mint = async (tenant: string, label?: string): Promise<{ id: string; key: string }> => {
  const { status, body } = await operator('POST', '/keys', { tenant, ...(label === undefined ? {} : { label }) });
  expect(status).toBe(201);
  return body as { id: string; key: string };
};

describe('who has not the operator’s key', () => {
  test.each([
    ['GET', '/keys'],
    ['POST', '/keys'],
    ['PATCH', '/keys/x'],
    ['DELETE', '/keys/x'],
    ['GET', '/tenants'],
    ['GET', '/tenants/a'],
    ['PATCH', '/tenants/a'],
    ['GET', '/nothing'],
  ])('is refused by %s %s, with a tenant’s key, too', async (method, at) => {
    const { key: apiKey } = await mint('nosy');
    for (const headers of [
      { 'x-operator-key': '' },
      { 'x-operator-key': `${key}0` },
      { 'x-operator-key': apiKey },
      { 'x-operator-key': '', 'x-api-key': apiKey },
      { 'x-operator-key': '', 'x-api-key': key },
    ]) {
      const { status, headers: answered } = await operator(method, at, method === 'GET' ? undefined : {}, headers);
      expect([status, answered.get('www-authenticate')]).toEqual([401, 'ApiKey header="X-Operator-Key"']);
    }
    expect((await list(key)).status).toBe(401);
  });

  test('finds nothing of it at the data plane', async () => {
    const answer = await fetch(`${world.proxyUrl}/operator/keys`, {
      headers: { host: 'api.sbx.test', 'x-operator-key': key },
    });
    expect(answer.status).toBeGreaterThanOrEqual(400);
  });
});

test('no page of another origin is let in, with the operator’s key or without it', async () => {
  const origin = { origin: 'https://elsewhere.example' };
  const asked = {
    ...origin,
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'x-operator-key',
  };
  const answers = [
    await operator('GET', '/keys', undefined, origin),
    await operator('GET', '/nothing', undefined, origin),
    await operator('POST', '/keys', { tenant: '' }, origin),
    await operator('GET', '/keys', undefined, { ...origin, 'x-operator-key': '' }),
    await operator('OPTIONS', '/keys', undefined, { ...asked, 'x-operator-key': '' }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 404, 400, 401, 401]);
  for (const { headers } of answers) {
    expect([...headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([]);
  }
  expect((await world.api('GET', '/health', undefined, origin)).headers.get('access-control-allow-origin')).toBe('*');
});

describe('keys', () => {
  test('are minted, listed, labelled and revoked; the key itself is shown once and logged never', async () => {
    const one = await mint('a', 'laptop');
    const other = await mint('b');
    expect([(await list(one.key)).status, (await list(other.key)).status]).toEqual([200, 200]);

    const ofA = await operator('GET', '/keys?tenant=a');
    expect(ofA.body).toEqual([{ id: one.id, tenant: 'a', label: 'laptop', createdAt: expect.any(String) }]);
    expect((await operator('PATCH', `/keys/${one.id}`, { label: 'desk' })).body).toMatchObject({ label: 'desk' });
    expect((await operator('GET', '/keys?tenant=a')).body).toMatchObject([{ id: one.id, label: 'desk' }]);

    expect((await operator('DELETE', `/keys/${one.id}`)).status).toBe(204);
    expect([(await list(one.key)).status, (await list(other.key)).status]).toEqual([401, 200]);
    const all = JSON.stringify((await operator('GET', '/keys')).body);
    for (const text of [all, lines]) {
      for (const secret of [one.key, other.key, key]) expect(text).not.toContain(secret.split('_').at(-1));
    }
    expect(lines).toContain(one.id);
  });

  test('are not kept by caches', async () => {
    const { headers } = await operator('POST', '/keys', { tenant: 'a' });
    expect(headers.get('cache-control')).toBe('no-store');
  });

  test('that are not there are a 404, which does not repeat what was asked for', async () => {
    for (const [method, body] of [['PATCH', { label: 'x' }], ['DELETE']] as const) {
      const { status, body: answer } = await operator(method, '/keys/dormouse_secret', body);
      expect([status, JSON.stringify(answer)]).toEqual([404, expect.not.stringContaining('secret')]);
    }
  });

  test.each([
    [{}],
    [{ tenant: '' }],
    [{ tenant: 'x'.repeat(65) }],
    [{ tenant: 'a/b' }],
    [{ tenant: 'a', label: 'x'.repeat(201) }],
    [{ tenant: 'a', lable: 'x' }],
  ])('are not minted from %j', async (body) => {
    expect((await operator('POST', '/keys', body)).status).toBe(400);
  });
});

describe('a tenant', () => {
  test('is shown with its limits and what it uses of them, and nobody else’s', async () => {
    world.add('i1', {}, { tenant: 'seen' });
    world.add('i2', { status: 'paused' }, { tenant: 'seen' });
    world.add('i3', {}, { tenant: 'other' });
    const { body } = await operator('GET', '/tenants/seen');
    expect(body).toEqual({
      ...{ tenant: 'seen', limits: DEFAULTS, ownLimits: {} },
      used: {
        ...{ runningSandboxes: 1, cpus: 2, memoryMiB: 512, diskMiB: 8192, sleepingSandboxes: 1, sleepingMiB: 1 },
        connections: 0,
      },
    });
  });

  test('gets other limits without a restart, and the configured ones back', async () => {
    const { key: apiKey } = await mint('tight');
    expect(
      (await operator('PATCH', '/tenants/tight', { limits: { runningSandboxes: 1, cpus: null } })).body,
    ).toMatchObject({
      limits: { ...DEFAULTS, runningSandboxes: 1, cpus: null },
      ownLimits: { runningSandboxes: 1, cpus: null },
    });
    expect([(await create(apiKey)).status, (await create(apiKey)).status]).toEqual([201, 429]);
    await operator('PATCH', '/tenants/tight', { limits: { runningSandboxes: 2 } });
    expect([(await create(apiKey)).status, (await create(apiKey)).status]).toEqual([201, 429]);
    const back = await operator('PATCH', '/tenants/tight', {
      limits: { runningSandboxes: 'default', cpus: 'default' },
    });
    expect(back.body).toMatchObject({ limits: DEFAULTS, ownLimits: {} });
    expect((await create(apiKey)).status).toBe(201);
  });

  test('is listed when it has a key or limits of its own', async () => {
    await mint('with-key');
    await operator('PATCH', '/tenants/without-key', { limits: { cpus: 1 } });
    const { body } = await operator('GET', '/tenants');
    expect(body).toEqual(
      expect.arrayContaining([
        { tenant: 'with-key', keys: 1, limits: DEFAULTS, ownLimits: {} },
        { tenant: 'without-key', keys: 0, limits: { ...DEFAULTS, cpus: 1 }, ownLimits: { cpus: 1 } },
      ]),
    );
  });

  test.each([
    [{}],
    [{ limits: { cpus: -1 } }],
    [{ limits: { cpus: '4' } }],
    [{ limits: { connections: 0 } }],
    [{ limits: { sandboxes: 4 } }],
    [{ limit: {} }],
  ])('is not changed by %j', async (body) => {
    const { status } = await operator('PATCH', '/tenants/unchanged', body);
    expect(status).toBe(400);
    expect((await operator('GET', '/tenants/unchanged')).body.ownLimits).toEqual({});
  });
});

test('a method that a path has not is a 405, a path that is none a 404', async () => {
  const { status, headers } = await operator('PUT', '/keys', {});
  expect([status, headers.get('allow')]).toEqual([405, 'GET, POST']);
  expect((await operator('GET', '/nothing')).status).toBe(404);
});
