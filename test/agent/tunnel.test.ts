import { afterAll, beforeAll, expect, test } from 'vitest';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { dialTunnel } from '../../src/guest/client.js';
import { freePort, startAgent, TOKEN, type RunningAgent } from './agent-process.js';

const inTime = (): AbortSignal => AbortSignal.timeout(10_000);

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

async function echo(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write('hello ');
    socket.pipe(socket);
  }).listen(0, host);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test.each(['127.0.0.1', '::1'])('a tunnel leads to a port of %s, both ways and to the end', async (host) => {
  const { server, port } = await echo(host);
  const socket = await dialTunnel(agent.address, TOKEN, port, inTime());
  const sent = Buffer.alloc(2_000_000, 'x');
  socket.end(sent);
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(Buffer.concat([Buffer.from('hello '), sent]))).toBe(true);
  server.close();
});

test('a service that ends its connection ends the tunnel', async () => {
  const server = createServer((socket) => socket.end('bye')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = await dialTunnel(agent.address, TOKEN, (server.address() as AddressInfo).port, inTime());
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toBe('bye');
  await once(socket, 'close');
  server.close();
});

test('a closed port and a wrong token open no tunnel', async () => {
  await expect(dialTunnel(agent.address, TOKEN, await freePort(), inTime())).rejects.toThrow('502');
  await expect(dialTunnel(agent.address, 'wrong', await freePort(), inTime())).rejects.toThrow('401');
});
