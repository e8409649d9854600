import { once } from 'node:events';
import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { relayRequest } from '../../src/relay/relay-request.js';
import { streamServer } from '../../src/relay/stream-server.js';

const servers: (Server | HttpServer)[] = [];
afterEach(() => servers.splice(0).forEach((server) => server.close()));
const listen = async (server: Server | HttpServer): Promise<number> => {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

test('an answer that has come whole is passed on though its connection breaks under the body', async () => {
  const chunk = `4e20\r\n${'x'.repeat(20_000)}\r\n`;
  const whole = `HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`;
  const bytes = 4 << 20;
  let service: Socket | undefined;
  const port = await listen(
    createServer((socket) => {
      service = socket.on('error', () => undefined);
      socket.once('data', () => socket.pause().write(whole));
    }),
  );
  let answer: IncomingMessage | undefined;
  const front = streamServer() as HttpServer;
  front.on('request', (request, response) => {
    // A client that does not take the answer yet: it takes it when the body is over.
    response.socket!.cork();
    request.once('end', () => response.socket!.uncork());
    const to = { host: '127.0.0.1', port, path: '/', headers: ['Host', 'a'] };
    void relayRequest(request, response, to, new AbortController().signal, {
      onAnswer: (given) => void (answer = given),
    });
  });
  const socket = connect(await listen(front), '127.0.0.1');
  let said = '';
  socket.on('data', (piece) => (said += piece.toString())).on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`);
  socket.end(Buffer.alloc(bytes));
  await expect.poll(() => answer?.complete).toBe(true);
  service?.resetAndDestroy();
  await closed;
  const [head, body = ''] = said.split('\r\n\r\n', 2);
  expect([head?.slice(0, 12), body.match(/x/g)?.length, said.endsWith('0\r\n\r\n')]).toEqual([
    'HTTP/1.1 413',
    40_000,
    true,
  ]);
});
