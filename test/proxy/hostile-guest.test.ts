import { createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { FakeWorld } from '../api/fake-world.js';

/** What the server behind port 8080 of the guest sends as soon as it is asked, byte by byte; then it ends. */
let say: (socket: Socket) => void;
let world: FakeWorld;
beforeAll(async () => {
  world = await new FakeWorld().start();
  world.add('i1');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => say(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  world.guestPorts.set(8080, port);
  world.guest = { host: '127.0.0.1', port };
});
afterAll(() => world.stop());

const at = (init: RequestInit = {}, port = 8080): Promise<Response> =>
  fetch(world.proxyUrl, {
    ...init,
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': String(port), ...world.access('i1') },
  });

const GARBAGE: [string, string | Buffer][] = [
  ['bytes that are no HTTP', Buffer.from([0, 1, 2, 250, 251, 13, 10, 13, 10])],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2p1 Debian\r\n'],
  ['nothing, and hangs up', ''],
  ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
  ['a status below 100', 'HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n'],
  ['a status of 000', 'HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n'],
  [
    'a switch of protocols that nobody asked for',
    'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'],
  ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
  ['a NUL in a header', 'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n'],
  ['headers of 1 MB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(1 << 20)}\r\n\r\n`],
];

describe('a server in the guest that answers', () => {
  test.each(GARBAGE)('%s is a 502 that says so, and harms nobody', async (_name, bytes) => {
    say = (socket) => socket.end(bytes);
    const response = await at({ method: 'POST', body: 'x' });
    expect([response.status, await response.json()]).toEqual([
      502,
      { sandboxId: 'i1', message: expect.stringContaining('no valid HTTP answer'), port: 8080, code: 502 },
    ]);
    say = (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    expect(await (await at()).text()).toBe('ok');
  });

  test.each(GARBAGE)('%s on the agent’s port is a 502, too', async (_name, bytes) => {
    say = (socket) => socket.end(bytes);
    expect((await at({}, 49_983)).status).toBe(502);
  });

  test.each(GARBAGE.filter(([name]) => !name.startsWith('a switch')))(
    '%s to a WebSocket refuses it',
    async (_n, bytes) => {
      say = (socket) => socket.end(bytes);
      const status = await new Promise((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${world.proxyPort}/`, { headers: { host: '8080-i1.x.y' } });
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
        socket.once('error', (error) => resolve(error.message));
      });
      expect(status).toBe(502);
    },
  );

  test.each([
    ['a body that is shorter than it said', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort'],
    ['chunks that are none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n'],
  ])('%s breaks off at the client, too', async (_name, text) => {
    say = (socket) => socket.end(text);
    const whole = at().then((response) => {
      if (!response.ok) throw new Error(`refused with ${response.status}`);
      return response.text();
    });
    await expect(whole).rejects.toThrow();
  });

  test('raw bytes in its status line and headers passes them as they are', async () => {
    say = (socket) => socket.end(Buffer.from('HTTP/1.1 200 \xe9\r\nX-A: \xff\r\nContent-Length: 0\r\n\r\n', 'latin1'));
    const response = await at();
    expect([response.status, response.headers.get('x-a')]).toEqual([200, '\xff']);
  });
});
