import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

let world: FakeWorld;
let seen: { url: string; headers: Record<string, unknown> } | undefined;
/** Headers that the guest's servers add to their answers. */
let says: Record<string, string> = {};
beforeAll(async () => {
  world = await new FakeWorld().start();
  const guest = await world.serveGuest((request, response) => {
    seen = { url: request.url ?? '', headers: request.headers };
    response.writeHead(request.url === '/health' ? 204 : 200, says).end();
  });
  world.guestPorts.set(8080, (guest.address() as { port: number }).port);
});
afterAll(() => world.stop());
beforeEach(() => {
  seen = undefined;
  says = {};
  world.dials = 0;
  world.views.clear();
  world.add('i1abc');
  world.add('i2def');
});

interface Reply {
  status: number;
  headers: Record<string, unknown>;
  body: unknown;
}

/** Unlike fetch, sends exactly this `Host` and this path. */
function send(path: string, headers: Record<string, string> = {}, method = 'GET', body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port: world.proxyPort, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const body: unknown = text === '' ? undefined : JSON.parse(text);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

describe('a request finds its sandbox', () => {
  test.each([
    ['by the routing headers', { 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '49983' }, 0],
    ['by the routing headers in another case', { 'e2B-SANDBOX-id': 'i1abc', 'E2B-sandbox-PORT': '8080' }, 1],
    ['by its host', { host: '49983-i1abc.sbx.test' }, 0],
    ['by its host with port, domain in capitals', { host: '8080-i1abc.SBX.Test:3001' }, 1],
    ['by its host with a client id behind, ignored', { host: '8080-i1abc-deadbeef.sbx.test' }, 1],
    ['by host before headers', { host: '8080-i1abc.x.y', 'E2b-Sandbox-Id': 'gone', 'E2b-Sandbox-Port': '1' }, 1],
    ['by its access token alone', { 'X-Access-Token': accessToken(TOKENS_KEY, { id: 'i1abc' }) }, 0],
    [
      'by headers behind a name with a dash',
      { host: 'my-proxy.x', 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '8080' },
      1,
    ],
  ])('%s', async (_name, headers, dials) => {
    expect((await send('/health', headers as unknown as Record<string, string>)).status).toBe(204);
    expect(world.dials).toBe(dials);
    expect(seen?.url).toBe('/health');
  });

  test('and the host, token and other headers reach the guest as they were sent', async () => {
    const token = accessToken(TOKENS_KEY, { id: 'i1abc' });
    await send('/a%20b/../c?x=%2F&y', {
      host: '49983-i1abc.sbx.test',
      'x-access-token': token,
      te: 'trailers',
      'x-a': 'b',
    });
    expect(seen?.url).toBe('/a%20b/../c?x=%2F&y');
    expect(seen?.headers).toMatchObject({ host: '49983-i1abc.sbx.test', 'x-access-token': token, 'x-a': 'b' });
    expect(seen?.headers).not.toHaveProperty('te');
  });

  test.each([
    ['nothing at all', {}],
    ['only one of the two headers', { 'E2b-Sandbox-Id': 'i1abc' }],
    ['only the other', { 'E2b-Sandbox-Port': '8080', 'X-Access-Token': 'i1abc.x' }],
    ['a port that is none', { 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '0x1f' }],
    ['a port out of range', { host: '99999-i1abc.sbx.test' }],
    ['port 0', { host: '0-i1abc.sbx.test' }],
    ['an id that is none', { 'E2b-Sandbox-Id': '../x', 'E2b-Sandbox-Port': '80' }],
    ['a host label whose port is no number', { host: 'http-i1abc.sbx.test' }],
    ['a host label without an id', { host: '8080-.sbx.test' }],
    ['a host label with another separator', { host: '8080_i1abc.sbx.test' }],
    ['a host label with a port of six digits', { host: '123456-i1abc.sbx.test' }],
    ['an id in a host label that is too long', { host: `8080-${'a'.repeat(41)}.sbx.test` }],
    ['a negative port', { 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '-1' }],
    ['an id in capitals', { 'E2b-Sandbox-Id': 'I1', 'E2b-Sandbox-Port': '80' }],
    ['a token that names nothing', { 'X-Access-Token': 'no-dot' }],
  ])('or is refused with 400: %s', async (_name, headers) => {
    const { status, body } = await send('/health', headers as unknown as Record<string, string>);
    expect([status, body]).toEqual([400, { sandboxId: '', message: expect.any(String), code: 400 }]);
    expect(seen).toBeUndefined();
  });

  test('an unknown one answers the exact 502', async () => {
    const { status, headers, body } = await send('/health', { host: '49983-gone.sbx.test' });
    expect([status, headers['content-type']]).toEqual([502, 'application/json']);
    expect(body).toEqual({ sandboxId: 'gone', message: 'The sandbox was not found', code: 502 });
  });
});

describe('a signed file URL', () => {
  const url = (id: string, operation: 'read' | 'write', expiration?: string, path = '/home/user/a b.txt'): string => {
    const signature = signFile({ path, operation, user: 'user', expiration }, accessToken(TOKENS_KEY, { id }));
    const query = new URLSearchParams({ path, username: 'user', signature });
    if (expiration !== undefined) query.set('signature_expiration', expiration);
    return `/files?${query}`;
  };

  test('is signed as the clients sign: the recorded vectors of the contract', () => {
    const path = '/home/user/a.txt';
    expect(signFile({ path, operation: 'read', user: 'user', expiration: '1795447316' }, 'tok-envd')).toBe(
      'v1_ERoOL3cMK8Ho1a+Bxgt8jnmHYpnwb1lLHxJY+qWrVXA',
    );
    expect(signFile({ path, operation: 'write', user: '', expiration: undefined }, 'tok-envd')).toBe(
      'v1_hJWoO15TGBv0x+PFfzdOejKBsP3D2bXZwSyCeFaUwQ8',
    );
  });

  test('of a sandbox with a token nonce goes there, and one made with another token of it goes nowhere', async () => {
    const owner = { id: 'i3ghi', tokenNonce: 'ab'.repeat(16) };
    world.add(owner.id, {}, owner);
    const signed = (token: string): string => {
      const signature = signFile({ path: 'a', operation: 'read', user: '', expiration: undefined }, token);
      return `/files?${new URLSearchParams({ path: 'a', signature })}`;
    };
    await expect.poll(async () => (await send(signed(accessToken(TOKENS_KEY, owner)))).status).toBe(200);
    expect((await send(signed(accessToken(TOKENS_KEY, { id: owner.id })))).status).toBe(401);
    world.views.delete(owner.id);
  });

  test('goes to the sandbox whose token made it, for reading and for writing', async () => {
    expect((await send(url('i2def', 'read'))).status).toBe(200);
    expect((await send(url('i1abc', 'write', '4102444800'), {}, 'POST', 'body')).status).toBe(200);
  });

  test('of a paused sandbox answers the 502, one of nobody or for the other operation 401', async () => {
    world.add('i2def', { status: 'paused' });
    expect((await send(url('i2def', 'read'))).body).toMatchObject({ sandboxId: 'i2def', code: 502 });
    expect((await send(url('i3nobody', 'read'))).status).toBe(401);
    expect((await send(url('i1abc', 'write'))).status).toBe(401);
    expect((await send(url('i1abc', 'read').replace('user', 'root'))).status).toBe(401);
    expect((await send(url('i1abc', 'read', '1795447316'))).body).toMatchObject({
      message: expect.stringContaining('expired'),
      code: 401,
    });
  });
});

describe('routes of the agent that only the host may call', () => {
  test.each([
    '/init',
    '/init/',
    '//init',
    '/INIT',
    '/init?x=1',
    '/%69nit',
    '/x/../init',
    '/x/%2e%2e/init',
    '/x%2f..%2finit',
    '/./init',
    '/\\init',
    '/init;a=b',
    'http://other/init',
    '/freeze',
    '/unfreeze',
    '/collapse',
    '/fsfreeze',
    '/events',
    '/sync',
    '/fsthaw',
    '/upgrade',
  ])('%s answers 404 and never reaches it', async (path) => {
    const { status, body } = await send(path, { 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '49983' }, 'POST');
    expect([status, body]).toEqual([404, { message: expect.any(String), path: expect.any(String), code: 404 }]);
    expect(seen).toBeUndefined();
  });

  test('are free on the other ports, and names that only begin alike on the agent’s', async () => {
    expect((await send('/init', { host: '8080-i1abc.x.y' })).status).toBe(200);
    expect((await send('/initial', { host: '49983-i1abc.x.y', ...world.access('i1abc') })).status).toBe(200);
  });
});

describe('browsers', () => {
  const preflight = { origin: 'https://a.test', 'access-control-request-method': 'POST' };

  test('get their preflight answered, since it cannot carry what routes', async () => {
    for (const host of ['127.0.0.1', '49983-i1abc.sbx.test']) {
      const { status, headers } = await send('/process.Process/Start', { ...preflight, host }, 'OPTIONS');
      expect([status, headers['access-control-allow-origin']]).toEqual([204, '*']);
    }
    expect(seen).toBeUndefined();
  });

  test('a preflight to a port of the user’s goes to the user’s server', async () => {
    await send('/', { ...preflight, host: '8080-i1abc.sbx.test' }, 'OPTIONS');
    expect(seen).toBeDefined();
  });

  test('may read answers of the agent and refusals', async () => {
    const origin = { origin: 'https://a.test' };
    const answer = await send('/files', { ...origin, host: '49983-i1abc.sbx.test' });
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    const refusal = await send('/files', { ...origin, host: '49983-gone.sbx.test' });
    expect(refusal.headers['access-control-allow-origin']).toBe('*');
    const own = await send('/', { ...origin, host: '8080-i1abc.sbx.test' });
    expect(own.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('exchange no cookie with the agent, whatever it says, and any with a server of the user’s', async () => {
    says = { 'set-cookie': 'a=b; domain=sbx.test', 'access-control-allow-credentials': 'true' };
    const cookie = { cookie: 'of=another' };
    const agent = await send('/files', { ...cookie, host: '49983-i1abc.sbx.test', ...world.access('i1abc') });
    expect([agent.status, seen?.headers['cookie']]).toEqual([200, undefined]);
    expect(Object.keys(agent.headers)).not.toContain('set-cookie');
    expect(Object.keys(agent.headers)).not.toContain('access-control-allow-credentials');
    const own = await send('/', { ...cookie, host: '8080-i1abc.sbx.test' });
    expect([own.headers['set-cookie'], seen?.headers['cookie']]).toEqual([['a=b; domain=sbx.test'], 'of=another']);
  });
});

test('a host that is down is a 503, not "not found"', async () => {
  const down = await new FakeWorld().start();
  const proxyUrl = down.proxyUrl;
  down.directory.locate = () =>
    Promise.resolve({
      hostId: 'h1',
      url: 'http://127.0.0.1:1',
      tenant: 'a',
      traffic: { autoResume: false },
      owner: { id: 'i1' },
    });
  const headers = { 'E2b-Sandbox-Id': 'i1abc', 'E2b-Sandbox-Port': '49983' };
  const response = await fetch(`${proxyUrl}/health`, { headers });
  expect([response.status, ((await response.json()) as { code: number }).code]).toEqual([503, 503]);
  await down.stop();
});
