import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { init } from '../../src/guest/client.js';
import { startAgent, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

/** Answers that come before the body of their request has come whole: proxy, gateway, and a real agent. */
let world: FakeWorld;
let agent: RunningAgent;
beforeEach(async () => {
  world = await new FakeWorld().start();
  const token = accessToken(TOKENS_KEY, world.add('i1').spec);
  agent = await startAgent({ initialised: false });
  world.guest = agent.address;
  const told = { envVars: {}, accessToken: token, timestamp: new Date().toISOString(), defaultUser: 'root' };
  await init(agent.address, token, told, AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await world.stop();
  await agent.stop();
});

const MIB = 1024 * 1024;
const body = Buffer.alloc(4 * MIB, 'x');

type Body = Buffer | ReadableStream;

const full = (given: Body): Promise<Response> =>
  fetch(`${world.proxyUrl}/files?path=/dev/full`, {
    method: 'POST',
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983', ...world.access('i1') },
    body: given,
    duplex: 'half',
  } as RequestInit);

test('every upload without room is told so, whatever of it is still on its way', { timeout: 60_000 }, async () => {
  const statuses: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const answers = [full(body), full(new Blob([body]).stream()), full(body), full(body.subarray(0, MIB))];
    for (const answer of await Promise.all(answers)) {
      statuses.push(answer.status);
      expect(await answer.json()).toMatchObject({ code: answer.status });
    }
  }
  expect(statuses.filter((status) => status !== 507)).toEqual([]);
});

const message = Buffer.alloc(33 * MIB, ' ');
/** The head of a frame of 33 MiB, and all that it announces. */
const frame = Buffer.concat([Buffer.from([0, 2, 0x10, 0, 0]), message]);

test.each([
  ['a message', 'SendInput', 'application/json', message, 429],
  ['a message in a stream', 'Start', 'application/connect+json', frame, 200],
])('%s that is too long for the agent is told so', { timeout: 60_000 }, async (_what, call, type, bytes, status) => {
  const answer = await fetch(`${world.proxyUrl}/process.Process/${call}`, {
    method: 'POST',
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983', ...world.access('i1'), 'content-type': type },
    body: new Blob([bytes]).stream(),
    duplex: 'half',
  } as RequestInit);
  expect([answer.status, await answer.text()]).toEqual([status, expect.stringContaining('resource_exhausted')]);
});

describe('a server in the guest that refuses an upload, and goes without reading it,', () => {
  const some = (): Body[] => [body, new Blob([body]).stream(), body, body.subarray(0, MIB)];
  /** Whether an answer without a length is whole, only a client that sends on is told: these have no end. */
  const endless = (): Body[] =>
    Array.from(
      { length: 4 },
      () => new ReadableStream({ type: 'bytes', pull: (to) => to.enqueue(new Uint8Array(65_536).fill(120)) }),
    );
  const REFUSALS = [
    ['with a length', 'HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo long', some],
    ['in chunks', 'HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ntoo long\r\n0\r\n\r\n', some],
    ['that ends with its connection', 'HTTP/1.0 413 Too Large\r\n\r\ntoo long', endless],
  ] as const;
  let answer: string;
  let heads: string[];
  let server: Server;
  let port: number;
  beforeEach(async () => {
    world.throughAgent = true;
    heads = [];
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (chunk: Buffer) => {
        socket.pause();
        heads.push(chunk.toString('latin1').split('\r\n', 1)[0] ?? '');
        socket.write(answer, () => socket.destroy());
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(() => void server.close());

  test.each(REFUSALS)('is heard by its client: an answer %s', { timeout: 60_000 }, async (_how, text, bodies) => {
    answer = text;
    const headers = { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': String(port) };
    const upload = async (sent: Body): Promise<unknown> => {
      const init = { method: 'POST', headers, body: sent, duplex: 'half' } as RequestInit;
      const response = await fetch(world.proxyUrl, init);
      return [response.status, await response.text()];
    };
    for (let round = 0; round < 2; round += 1) {
      const answers = bodies().map(upload);
      expect(new Set((await Promise.all(answers)).map(String))).toEqual(new Set(['413,too long']));
    }
  });

  test('has nothing of the body taken for a request, whether the rest of it is read or not', async () => {
    answer = REFUSALS[0][1];
    const request = (name: string): string => `GET /${name} HTTP/1.1\r\nHost: ${port}-i1.sbx.test\r\n\r\n`;
    const smuggled = Buffer.alloc(4 * MIB, request('smuggled'));
    const socket = connect(world.proxyPort, '127.0.0.1');
    let said = '';
    const answers = (): string[] => said.match(/HTTP\/1\.1 \d+/g) ?? [];
    // Once the body was read to its end, the connection goes on with the request behind it.
    const over = new Promise<void>((resolve) => {
      socket.once('close', resolve).on('error', () => undefined);
      socket.on('data', (bytes) => {
        said += bytes.toString('latin1');
        if (answers().length === 2) resolve();
      });
    });
    socket.write(`POST /up HTTP/1.1\r\nHost: ${port}-i1.sbx.test\r\nContent-Length: ${smuggled.length}\r\n\r\n`);
    socket.write(smuggled);
    socket.write(request('next'));
    await over;
    socket.destroy();
    expect(answers()[0]).toBe('HTTP/1.1 413');
    expect(heads).toEqual(['POST /up HTTP/1.1', 'GET /next HTTP/1.1'].slice(0, answers().length));
  });
});
