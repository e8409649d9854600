import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

/** Raw bytes to the proxy: what one client sends must never become part of another's request. */
let world: FakeWorld;
let arrived: { line: string; body: string; token: string | undefined }[];
beforeEach(async () => {
  world = await new FakeWorld().start();
  arrived = [];
  for (const id of ['mine', 'theirs']) world.add(id);
  await world.serveGuest((request, response) => {
    void text(request).then((body) => {
      arrived.push({ line: `${request.method} ${request.url}`, body, token: request.headers['x-secret'] as string });
      response.end('ok');
    });
  });
});
afterEach(() => world.stop());

/** The agent's port takes nothing without. */
const MINE = `X-Access-Token: ${accessToken(TOKENS_KEY, { id: 'mine' })}\r\n`;

async function raw(bytes: string): Promise<string> {
  const socket: Socket = connect(world.proxyPort, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  let said = '';
  socket.on('data', (chunk) => (said += chunk.toString()));
  await expect.poll(() => said).toContain('\r\n\r\n');
  socket.destroy();
  return said;
}

test.each(['POST', 'PUT', 'GET', 'DELETE'])(
  'the body of a %s whose Connection header names its length stays its body',
  async (method) => {
    const inner = 'GET /smuggled HTTP/1.1\r\nX-A: ';
    const head = `Host: 49983-mine.x.y\r\n${MINE}Connection: content-length\r\nContent-Length: ${inner.length}`;
    await raw(`${method} /outer HTTP/1.1\r\n${head}\r\n\r\n${inner}`);
    // Whoever is next on the connection between proxy and gateway.
    for (let count = 0; count < 3; count++) {
      const headers = {
        'E2b-Sandbox-Id': 'theirs',
        'E2b-Sandbox-Port': '49983',
        ...world.access('theirs'),
        'x-secret': 'their token',
      };
      expect(await (await fetch(`${world.proxyUrl}/theirs`, { headers })).text()).toBe('ok');
    }
    expect(arrived.filter(({ line }) => line.includes('smuggled'))).toEqual([]);
    expect(arrived.filter(({ line }) => line.includes('outer'))).toEqual([
      { line: `${method} /outer`, body: inner, token: undefined },
    ]);
    expect(arrived.filter(({ line }) => line === 'GET /theirs')).toHaveLength(3);
  },
);

/** More headers than Node shows by default; its parser obeys those behind them all the same. */
const FILLER = 'te: 1\r\n'.repeat(1_100);

test.each([
  ['POST', 'Transfer-Encoding: chunked'],
  ['GET', 'Transfer-Encoding: chunked'],
  ['POST', 'Content-Length'],
  ['GET', 'Content-Length'],
])('no %s hides its %s behind more headers than the proxy reads', async (method, hidden) => {
  const inner = 'GET /smuggled HTTP/1.1\r\nX-A: ';
  const chunked = hidden.startsWith('Transfer');
  const body = chunked ? `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n` : inner;
  const head = `Host: 49983-mine.x.y\r\n${MINE}${FILLER}${chunked ? hidden : `${hidden}: ${inner.length}`}`;
  const answer = await raw(`${method} /outer HTTP/1.1\r\n${head}\r\n\r\n${body}`);
  for (let count = 0; count < 3; count++) {
    const headers = {
      'E2b-Sandbox-Id': 'theirs',
      'E2b-Sandbox-Port': '49983',
      ...world.access('theirs'),
      'x-secret': 'their token',
    };
    expect(await (await fetch(`${world.proxyUrl}/theirs`, { headers })).text()).toBe('ok');
  }
  expect(arrived.filter(({ line }) => line.includes('smuggled'))).toEqual([]);
  expect(arrived.map(({ line }) => line)).toEqual(Array(3).fill('GET /theirs'));
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
});

test('a request with as many headers as are allowed keeps its hidden framing in sight', async () => {
  const inner = 'GET /smuggled HTTP/1.1\r\nX-A: ';
  const head = `Host: 49983-mine.x.y\r\n${MINE}${'te: 1\r\n'.repeat(197)}Content-Length: ${inner.length}`;
  await raw(`POST /outer HTTP/1.1\r\n${head}\r\n\r\n${inner}`);
  expect(arrived).toEqual([{ line: 'POST /outer', body: inner, token: undefined }]);
});

test('two sandboxes share no connection between proxy and gateway', async () => {
  const sockets = new Map<string, Set<unknown>>();
  world.gateway.on('request', (request) => {
    const id = request.headers['x-dormouse-sandbox'] as string | undefined;
    if (id !== undefined) sockets.set(id, (sockets.get(id) ?? new Set()).add(request.socket));
  });
  for (const id of ['mine', 'theirs', 'mine', 'theirs']) {
    const headers = { 'E2b-Sandbox-Id': id, 'E2b-Sandbox-Port': '49983', ...world.access(id) };
    expect(await (await fetch(`${world.proxyUrl}/`, { headers })).text()).toBe('ok');
  }
  expect([...sockets.keys()].sort()).toEqual(['mine', 'theirs']);
  const [mine, theirs] = [...sockets.values()];
  expect([...mine!].some((socket) => theirs!.has(socket))).toBe(false);
});

test('the gateway refuses a request that names its sandbox twice', async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(new URL(world.gatewayUrl).port), '127.0.0.1');
    const routing = `x-dormouse-gateway-token: ${'ab'.repeat(32)}\r\nx-dormouse-sandbox: mine\r\nx-dormouse-port: 49983`;
    socket.write(`GET / HTTP/1.1\r\nHost: h\r\n${routing}\r\nx-dormouse-sandbox: theirs\r\n\r\n`);
    text(socket).then(resolve, reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*x-dormouse-sandbox was sent twice/);
});
