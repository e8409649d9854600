import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { connections, CONNECTIONS, frames, GUESTS, STREAMS } from '../../src/bench/noises.js';
import type { Sandbox, ServiceClient } from '../../src/bench/service-client.js';

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

const frame = (event: object): Buffer => {
  const text = Buffer.from(JSON.stringify({ event }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text]);
};
const STARTED = frame({ start: { pid: 1 } });
const OUTPUT = frame({ data: { stdout: 'eA==' } });

/** A service whose guests answer like this. */
async function serviceOf(answer: (request: IncomingMessage, response: ServerResponse, number: number) => void) {
  let asked = 0;
  const server = createServer((request, response) => {
    request.on('error', () => undefined).resume();
    answer(request, response, ++asked);
  });
  closers.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const killed: string[] = [];
  let made = 0;
  const client = {
    create: () => Promise.resolve({ sandbox: { id: `s${++made}`, token: 't' } }),
    kill: ({ id }: Sandbox) => Promise.resolve(killed.push(id)),
    door: () => ({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, headers: {} }),
  } as unknown as ServiceClient;
  return { client, killed };
}

test('the frames of a noise have begun when each of its streams has brought output, and are read', async () => {
  const streams: ServerResponse[] = [];
  const { client, killed } = await serviceOf((_request, response) => {
    streams.push(response);
    response.write(STARTED);
  });
  let begun = false;
  const beginning = frames(client).then((end) => {
    begun = true;
    return end;
  });
  await expect.poll(() => streams.length).toBe(STREAMS);
  streams.slice(1).forEach((stream) => stream.write(OUTPUT));
  await new Promise((resolve) => setImmediate(resolve));
  expect(begun).toBe(false);
  streams[0]!.write(OUTPUT);
  const end = await beginning;
  // More than the kernel would keep of what nobody reads.
  const much = Buffer.concat(Array.from({ length: 16 * 1024 }, () => Buffer.concat([OUTPUT, OUTPUT])));
  for (let count = 0; count < 16; count++) await new Promise((resolve) => streams[0]!.write(much, resolve));
  await end();
  expect(killed).toHaveLength(GUESTS);
});

test('a noise one of whose streams ends before its output has not begun', async () => {
  const { client } = await serviceOf((_request, response, number) => {
    if (number === STREAMS) response.end(STARTED);
    else response.write(Buffer.concat([STARTED, OUTPUT]));
  });
  await expect(frames(client)).rejects.toThrow('ended before its first output');
});

test('connections of a noise are uploads that stay open until it ends', async () => {
  const open = new Set<ServerResponse>();
  const { client, killed } = await serviceOf((_request, response) => {
    open.add(response);
    response.once('close', () => open.delete(response));
  });
  const end = await connections(client);
  await expect.poll(() => open.size).toBe(CONNECTIONS);
  await end();
  await expect.poll(() => open.size).toBe(0);
  expect(killed).toHaveLength(GUESTS);
});
