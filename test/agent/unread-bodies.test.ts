import { afterAll, beforeAll, expect, test } from 'vitest';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { startAgent, type RunningAgent } from './agent-process.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const MIB = 1024 * 1024;
/** More than the kernel keeps of a connection whose other end does not read. */
const LONG = 30 * MIB;

interface Refused {
  answer: string;
  /** Whether the client could send all that it announced. */
  sentAll: boolean;
}

/** Announces a long body, sends it as fast as it is taken, until the agent ends the connection. */
async function sendLong(route: string, headers: string[] = [], type = 'application/json'): Promise<Refused> {
  const socket: Socket = connect(agent.address);
  const chunks: Buffer[] = [];
  socket.on('error', () => undefined).on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = once(socket, 'close').catch(() => undefined);
  const head = [
    `POST ${route} HTTP/1.1`,
    'host: guest',
    `content-type: ${type}`,
    `content-length: ${LONG}`,
    ...headers,
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  let sentAll = false;
  socket.write(Buffer.alloc(LONG, ' '), (error) => (sentAll = !error));
  await closed;
  return { answer: Buffer.concat(chunks).toString('utf8'), sentAll };
}

async function peakMemoryMiB(): Promise<number> {
  const status = await readFile(`/proc/${agent.child.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

test('a body that comes without the token is not read, whatever it is for', async () => {
  const before = await peakMemoryMiB();
  const unary = Array.from({ length: 5 }, () => sendLong('/process.Process/SendInput'));
  const stream = sendLong('/process.Process/Start', [], 'application/connect+json');
  const others = ['/filesystem.Filesystem/Stat', '/files?path=/tmp/refused', '/events', '/init', '/no-such'].map(
    (route) => sendLong(route, ['x-access-token: wrong']),
  );
  for (const { sentAll } of await Promise.all([...unary, stream, ...others])) expect(sentAll).toBe(false);
  expect((await peakMemoryMiB()) - before).toBeLessThan(60);
});

test('who waits for the permission to send learns that the token is wrong', async () => {
  const refused = await sendWhenAllowed('/process.Process/SendInput', 'application/json');
  expect(refused).toContain('HTTP/1.1 401 ');
  expect(refused).toContain('"code":"unauthenticated"');
  const stream = await sendWhenAllowed('/process.Process/Start', 'application/connect+json');
  expect(stream).toContain('HTTP/1.1 200 ');
  expect(stream).toContain('\u0002');
  expect(stream).toContain('{"error":{"code":"unauthenticated"');
});

/** Sends nothing but the head, and waits for what the agent says until it ends the connection. */
async function sendWhenAllowed(route: string, type: string): Promise<string> {
  const socket = connect(agent.address);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const head = [`POST ${route} HTTP/1.1`, 'host: guest', `content-type: ${type}`, 'expect: 100-continue'];
  socket.write(`${head.join('\r\n')}\r\ncontent-length: ${LONG}\r\n\r\n`);
  await once(socket, 'close');
  const said = Buffer.concat(chunks).toString('utf8');
  expect(said).not.toContain('100 Continue');
  return said;
}
