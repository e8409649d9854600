import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dialTunnel, health, init, syncDisk } from '../../src/guest/client.js';

/** In the agent's place, whatever a guest might put there. */
let server: Server;
let sockets: Socket[];
let say: (socket: Socket) => void;
beforeEach(async () => {
  sockets = [];
  server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => say(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});
const INIT = { envVars: {}, accessToken: 't', timestamp: new Date().toISOString(), defaultUser: 'user' };
const address = () => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });

test('an agent that never opens a tunnel costs no connection once it is given up', async () => {
  say = () => undefined;
  await expect(dialTunnel(address(), 'token', 8080, AbortSignal.timeout(80))).rejects.toThrow();
  await expect.poll(() => sockets.map(({ destroyed }) => destroyed)).toEqual([true]);
  await expect(dialTunnel(address(), 'token', 8080, AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
});

test('a tunnel that is open stays so after the time for opening it is over', async () => {
  say = (socket) => void socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  const over = new AbortController();
  const tunnel = await dialTunnel(address(), 'token', 8080, over.signal);
  over.abort(new Error('its time is over'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([tunnel.destroyed, sockets[0]?.destroyed]).toEqual([false, false]);
  tunnel.destroy();
});

test.each([
  ['no HTTP at all', 'SSH-2.0-x\r\n\r\n'],
  ['a refusal', 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'],
  ['the end of the connection', ''],
])('a tunnel that is answered with %s is not open', async (_name, text) => {
  say = (socket) => void socket.end(text);
  await expect(dialTunnel(address(), 'token', 8080, AbortSignal.timeout(5_000))).rejects.toThrow();
});

test('an agent that switches protocols has refused: no step of its sandbox waits for it', async () => {
  say = (socket) => void socket.write('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  const over = AbortSignal.timeout(20_000);
  const asked = [init(address(), 't', INIT, over), health(address(), over), syncDisk(address(), 't', over)];
  for (const one of await Promise.allSettled(asked))
    expect(one).toMatchObject({
      status: 'rejected',
      reason: { message: expect.stringContaining('switched protocols') },
    });
  await expect.poll(() => sockets.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
});

test('an answer without end gets no more than a bounded part of our memory', async () => {
  say = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n');
    const more = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(1 << 16)));
    };
    socket.on('drain', more);
    more();
  };
  await expect(init(address(), 't', INIT, AbortSignal.timeout(10_000))).rejects.toThrow(/longer than \d+ bytes/);
  await expect.poll(() => sockets[0]?.destroyed).toBe(true);
});
