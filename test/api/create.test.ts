import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessToken, trafficToken } from '../../src/keys/access-token.js';
import { openField } from '../../src/keys/sealed-field.js';
import { FakeWorld, FIELDS_KEY, TOKENS_KEY } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.report.free = { memoryMiB: 4096, diskMiB: 9000 };
});

/** What each client generation sends (contract 7.3). */
const RECORDED: [string, string, object, number][] = [
  [
    'U10',
    '/sandboxes',
    {
      ...{ templateID: 'base', allow_internet_access: true, autoPause: false, envVars: {}, metadata: {} },
      ...{ secure: true, timeout: 300 },
    },
    300,
  ],
  ['PY', '/v2/sandboxes', { templateID: 'base', metadata: {}, envVars: {} }, 300],
  ['JS', '/v2/sandboxes', { templateID: 'base' }, 300],
  ['a bare v1 client', '/sandboxes', { templateID: 'base' }, 15],
];

describe('create', () => {
  test.each(RECORDED)('answers %s with 201 and a whole Sandbox', async (_name, path, body, seconds) => {
    const { status, body: sandbox } = await world.api('POST', path, body);
    expect(status).toBe(201);
    expect(sandbox).toMatchObject({ templateID: 'base', envdVersion: '0.5.2', domain: 'test.example' });
    expect(sandbox.sandboxID).toMatch(/^i[a-z0-9]{20}$/);
    expect(sandbox.clientID).not.toBe('');
    expect(sandbox.envdAccessToken).toBe(accessToken(TOKENS_KEY, world.views.get(sandbox.sandboxID)!.spec));
    expect(world.views.get(sandbox.sandboxID)?.spec.timeoutMs).toBe(seconds * 1000);
    expect(world.views.get(sandbox.sandboxID)?.spec).toMatchObject({ tenant: 'a', hostId: 'h1', onTimeout: 'kill' });
  });

  test('accepts a chunked body, as JS sends it', async () => {
    const response = await fetch(`${world.apiUrl}/v2/sandboxes`, {
      method: 'POST',
      headers: { 'x-api-key': 'key-a', 'content-type': 'application/json' },
      body: new Blob(['{"templateID":', '"base"}']).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(response.status).toBe(201);
  });

  test('keeps environment variables sealed, and metadata as given', async () => {
    const { body } = await world.api('POST', '/v2/sandboxes', {
      ...{ templateID: 'base', envVars: { K: 'marker-value' }, metadata: { 'user id': 'a&b/c' } },
    });
    const spec = world.views.get(body.sandboxID)?.spec;
    expect(JSON.stringify(spec)).not.toContain('marker-value');
    expect(openField(FIELDS_KEY, body.sandboxID, 'envVars', spec?.sealedEnv ?? '')).toBe('{"K":"marker-value"}');
    expect(spec?.metadata).toEqual({ 'user id': 'a&b/c' });
  });

  test('keeps the key `__proto__` like any other, in answers, filters and what makes a request another one', async () => {
    const map = '{"__proto__":"kept","constructor":"too"}';
    const create = (maps: string) =>
      world.api('POST', '/v2/sandboxes', `{"templateID":"base",${maps}}`, { 'idempotency-key': 'proto' });
    const { body } = await create(`"metadata":${map},"envVars":${map}`);
    const id = body.sandboxID as string;
    expect(openField(FIELDS_KEY, id, 'envVars', world.views.get(id)?.spec.sealedEnv ?? '')).toBe(map);
    expect(JSON.stringify((await world.api('GET', `/sandboxes/${id}`)).body.metadata)).toBe(map);
    const found = async (filter: string): Promise<string[]> =>
      (await world.api('GET', `/v2/sandboxes?metadata=${filter}`)).body.map((one: { metadata: object }) =>
        JSON.stringify(one.metadata),
      );
    expect([await found('__proto__%3Dkept'), await found('__proto__%3Dother')]).toEqual([[map], []]);
    expect((await create(`"metadata":{"constructor":"too"},"envVars":${map}`)).status).toBe(409);
    expect((await create(`"metadata":{"__proto__":5}`)).status).toBe(400);
  });

  test('takes over pausing on timeout, auto-resume and no internet', async () => {
    const { body } = await world.api('POST', '/sandboxes', {
      ...{ templateID: 'base', autoPause: true, autoResume: { enabled: true }, allow_internet_access: false },
    });
    const spec = world.views.get(body.sandboxID)?.spec;
    expect(spec).toMatchObject({ onTimeout: 'pause', autoResume: true, allowInternetAccess: false });
  });

  test('takes denying all traffic for no internet, and empty or default options for nothing asked', async () => {
    const denied = await world.api('POST', '/sandboxes', { templateID: 'base', network: { denyOut: ['0.0.0.0/0'] } });
    expect(world.views.get(denied.body.sandboxID)?.spec.allowInternetAccess).toBe(false);
    for (const network of [
      { allowPublicTraffic: true },
      { allowPublicTraffic: null, allowOut: [], rules: {} },
      null,
      {},
    ]) {
      const { status, body } = await world.api('POST', '/sandboxes', { templateID: 'base', network, mcp: null });
      expect(status).toBe(201);
      expect(world.views.get(body.sandboxID)?.spec.allowInternetAccess).toBe(true);
    }
  });

  test('returns the traffic access token, from create and connect, only when traffic is restricted', async () => {
    const network = { allowPublicTraffic: false, maskRequestHost: 'localhost:${PORT}' };
    const { status, body } = await world.api('POST', '/v2/sandboxes', { templateID: 'base', network });
    expect([status, body.trafficAccessToken]).toEqual([
      201,
      trafficToken(TOKENS_KEY, world.views.get(body.sandboxID)!.spec),
    ]);
    expect(body.trafficAccessToken).not.toBe(body.envdAccessToken);
    const connected = await world.api('POST', `/v2/sandboxes/${body.sandboxID}/connect`, {});
    expect(connected.body.trafficAccessToken).toBe(body.trafficAccessToken);
    expect((await world.api('GET', `/sandboxes/${body.sandboxID}`)).body.network).toEqual(network);
    const open = await world.api('POST', '/v2/sandboxes', {
      templateID: 'base',
      network: { allowPublicTraffic: true },
    });
    expect(open.body.trafficAccessToken).toBeNull();
  });

  test.each([
    ['allowOut', { network: { allowOut: ['1.1.1.1'] } }],
    ['allowOut', { network: { allowOut: ['1.1.1.1'], denyOut: ['0.0.0.0/0'] } }],
    ['denyOut', { network: { denyOut: ['10.0.0.0/8'] } }],
    ['dnsServers', { network: { dnsServers: ['8.8.8.8'] } }],
    ['egressProxy', { network: { egressProxy: { address: 'x:1' } } }],
    ['rules', { network: { rules: { 'a.b': [] } } }],
    ['maskRequestHost', { network: { maskRequestHost: 'two words' } }],
    ['maskRequestHost', { network: { maskRequestHost: 'a\r\nX-B: c' } }],
    ['maskRequestHost', { network: { maskRequestHost: 7 } }],
    ['httpsPorts', { network: { httpsPorts: [443] } }],
    ['allowPublicTraffic', { network: { allowPublicTraffic: 'no' } }],
    ['somethingNew', { network: { somethingNew: true } }],
    ['network', { network: 'open' }],
    ['iam', { iam: { tokens: { a: {} } } }],
    ['mcp', { mcp: { exa: {} } }],
    ['volumeMounts', { volumeMounts: [{ name: 'v', path: '/v' }] }],
    ['autoPauseMemory', { autoPause: true, autoPauseMemory: false, autoResume: { enabled: true } }],
  ])('refuses %s by name when it cannot be kept', async (name, change) => {
    const { status, body } = await world.api('POST', '/v2/sandboxes', { templateID: 'base', ...change });
    expect(status).toBe(400);
    expect(body).toEqual({ code: 400, message: expect.stringContaining(name) });
    expect(world.countOf('create')).toBe(0);
  });

  test.each([
    ['timeout of 0', { timeout: 0 }],
    ['negative timeout', { timeout: -5 }],
    ['timeout that is no number', { timeout: 'soon' }],
    ['timeout with a fraction', { timeout: 1.5 }],
    ['timeout over 24 h', { timeout: 86_401 }],
    ['huge timeout', { timeout: 1e300 }],
    ['template that is no string', { templateID: 5 }],
    ['missing template', { templateID: undefined }],
    ['metadata with a number', { metadata: { a: 1 } }],
    ['metadata that is a list', { metadata: ['a'] }],
    ['metadata beyond bounds', { metadata: { a: 'x'.repeat(70_000) } }],
    ['a variable with a number', { envVars: { A: 1 } }],
    ['metadata that is null inside', { metadata: { a: null } }],
    ['a variable with "=" in its name', { envVars: { 'A=B': '1' } }],
    ['a variable with NUL in its value', { envVars: { A: 'x\0' } }],
    ['autoPause that is no boolean', { autoPause: 'yes' }],
  ])('answers 400 to a %s', async (_name, change) => {
    const { status, body } = await world.api('POST', '/sandboxes', { templateID: 'base', ...change });
    expect(status).toBe(400);
    expect(body).toEqual({ code: 400, message: expect.any(String) });
    expect(world.countOf('create')).toBe(0);
  });

  test('never repeats a secret value in the message of a refusal', async () => {
    const { body } = await world.api('POST', '/sandboxes', { templateID: 'base', envVars: { A: ['hush-hush'] } });
    expect(body.message).toContain('envVars.A');
    expect(body.message).not.toContain('hush-hush');
  });

  test('accepts the maximum of 24 h', async () => {
    expect((await world.api('POST', '/sandboxes', { templateID: 'base', timeout: 86_400 })).status).toBe(201);
  });

  test('answers 404 to a template that no host has', async () => {
    const { status, body } = await world.api('POST', '/v2/sandboxes', { templateID: 'nope' });
    expect([status, body.code]).toEqual([404, 404]);
    expect(body.message).toContain('nope');
  });

  test('answers 429 and says why when memory or disk do not suffice, before anything is started', async () => {
    world.report.free = { memoryMiB: 511, diskMiB: 9000 };
    const memory = await world.api('POST', '/v2/sandboxes', { templateID: 'base' });
    expect([memory.status, memory.body.code]).toEqual([429, 429]);
    expect(memory.body.message).toContain('memory');
    world.report.free = { memoryMiB: 4096, diskMiB: 10 };
    expect((await world.api('POST', '/v2/sandboxes', { templateID: 'base' })).body.message).toContain('disk');
    expect(world.countOf('create')).toBe(0);
  });

  test('an unknown outcome names the sandbox to look for, and must not be sent again', async () => {
    world.failNext.set('create', 'OutcomeUnknown');
    const { status, headers, body } = await world.api('POST', '/v2/sandboxes', { templateID: 'base' });
    expect([status, headers.get('should-retry')]).toEqual([504, 'false']);
    expect(body.message).toMatch(/sandbox i[a-z0-9]{20} may or may not/);
  });
});
