import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { accessToken, trafficToken } from '../../src/keys/access-token.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

let world: FakeWorld;
let seen: Record<string, string | string[] | undefined>[];
beforeAll(async () => {
  world = await new FakeWorld().start();
  const guest = await world.serveGuest((request, response) => {
    seen.push(request.headers);
    response.end('ok');
  });
  new WebSocketServer({ server: guest }).on('connection', (socket, { headers }) => {
    seen.push(headers);
    socket.send('hello');
  });
  const { port } = guest.address() as { port: number };
  world.guestPorts.set(8080, port).set(49_982, port);
});
afterAll(() => world.stop());
beforeEach(() => {
  seen = [];
  world.add('closed', {}, { allowPublicTraffic: false });
  world.add('open');
  world.add('masked', {}, { maskRequestHost: 'inside.test:${PORT}' });
});

const TOKEN = trafficToken(TOKENS_KEY, { id: 'closed' });
const at = (id: string, port: number, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(world.proxyUrl, { headers: { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': String(port), ...headers } });

describe('a sandbox without public traffic', () => {
  test.each([
    ['no token', {}],
    ['a wrong one', { 'E2B-Traffic-Access-Token': 'closed.x' }],
    ['that of another sandbox', { 'E2B-Traffic-Access-Token': trafficToken(TOKENS_KEY, { id: 'open' }) }],
    ['its access token', { 'E2B-Traffic-Access-Token': accessToken(TOKENS_KEY, { id: 'closed' }) }],
    ['its traffic token where the access token belongs', { 'X-Access-Token': TOKEN }],
  ])('answers the exact 403 on every port but the agent’s to %s', async (_name, headers) => {
    for (const port of [8080, 49_982, 49_999, 1]) {
      const response = await at('closed', port, headers as unknown as Record<string, string>);
      expect([response.status, response.headers.get('content-type')]).toEqual([403, 'application/json']);
      expect(await response.json()).toEqual({ sandboxId: 'closed', message: expect.any(String), code: 403 });
    }
    expect(seen).toEqual([]);
  });

  test('answers to its token, which the guest never sees', async () => {
    expect((await at('closed', 8080, { 'E2B-Traffic-Access-Token': TOKEN })).status).toBe(200);
    expect(JSON.stringify(seen)).not.toContain(TOKEN);
    expect(seen[0]).not.toHaveProperty('e2b-traffic-access-token');
  });

  test('answers to its new token alone soon after its tokens were rotated by way of another api', async () => {
    const now = { id: 'closed', tokenNonce: 'cd'.repeat(16) };
    expect((await at('closed', 8080, { 'E2B-Traffic-Access-Token': TOKEN })).status).toBe(200);
    world.add('closed', {}, { ...now, allowPublicTraffic: false });
    const header = { 'E2B-Traffic-Access-Token': trafficToken(TOKENS_KEY, now) };
    await expect.poll(async () => (await at('closed', 8080, header)).status, { timeout: 20_000 }).toBe(200);
    expect((await at('closed', 8080, { 'E2B-Traffic-Access-Token': TOKEN })).status).toBe(403);
    world.add('closed', {}, { allowPublicTraffic: false });
    world.directory.forget('closed');
  });

  test('leaves its agent to the access token, and hides a stray traffic token from it', async () => {
    expect((await at('closed', 49_983, world.access('closed'))).status).toBe(200);
    expect((await at('closed', 49_983, { ...world.access('closed'), 'E2B-Traffic-Access-Token': TOKEN })).status).toBe(
      200,
    );
    expect(JSON.stringify(seen)).not.toContain(TOKEN);
  });

  test('refuses WebSockets without its token, and takes them with it', async () => {
    const open = (headers: Record<string, string>): Promise<string | number | undefined> =>
      new Promise((resolve) => {
        const address = `ws://127.0.0.1:${world.proxyPort}/`;
        const socket = new WebSocket(address, { headers: { host: '8080-closed.sbx.test', ...headers } });
        socket.on('error', () => undefined);
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
        socket.once('message', (data: Buffer) => {
          resolve(data.toString());
          socket.terminate();
        });
      });
    expect(await open({})).toBe(403);
    expect(await open({ 'E2B-Traffic-Access-Token': TOKEN })).toBe('hello');
    expect(JSON.stringify(seen)).not.toContain(TOKEN);
  });

  test('hides the token from the guests of open sandboxes, too', async () => {
    expect((await at('open', 8080, { 'E2B-Traffic-Access-Token': TOKEN })).status).toBe(200);
    expect(JSON.stringify(seen)).not.toContain(TOKEN);
  });
});

describe('maskRequestHost', () => {
  test('is the host that servers in the guest see, with the port that was asked for', async () => {
    await at('masked', 8080);
    expect(seen[0]?.['host']).toBe('inside.test:8080');
  });

  test('does not concern the agent, nor other sandboxes', async () => {
    await at('masked', 49_983, world.access('masked'));
    await at('open', 8080);
    expect(seen.map(({ host }) => host)).toEqual([`127.0.0.1:${world.proxyPort}`, `127.0.0.1:${world.proxyPort}`]);
  });
});
