import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';

/** Answers that come before the body of their request has come whole. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const UNIT = 262_144;

/** A connection that has said the head of an upload to a device without room, and what the agent says on it. */
function uploadToFull(headers: string[]): { socket: Socket; said: () => string; broke: () => unknown } {
  const socket = connect({ ...agent.address, allowHalfOpen: true });
  let said = '';
  let broke: unknown;
  socket.on('data', (bytes: Buffer) => (said += bytes.toString('latin1'))).on('error', (error) => (broke = error));
  const head = [
    ...['POST /files?path=/dev/full HTTP/1.1', 'host: guest', `x-access-token: ${TOKEN}`],
    ...['content-type: application/octet-stream', `content-length: ${20 * UNIT}`, ...headers],
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  return { socket, said: () => said, broke: () => broke };
}

test('all of an upload that was asked for before its refusal may still come, and meets no reset', async () => {
  const { socket, said, broke } = uploadToFull(['expect: 100-continue', `x-dormouse-credit: ${UNIT}`]);
  await expect.poll(said, { timeout: 10_000 }).toContain('102 Processing');
  const ended = once(socket, 'end');
  socket.write(Buffer.alloc(UNIT));
  await ended;
  expect(said()).toMatch(/HTTP\/1\.1 507 [^]*"code":507/);
  for (let unit = 1; unit < 4; unit += 1) {
    await new Promise((resolve) => socket.write(Buffer.alloc(UNIT), resolve));
  }
  const closed = once(socket, 'close');
  socket.end();
  await closed;
  expect(broke()).toBeUndefined();
});

test('a client that sends all of its upload before it looks for the answer finds the refusal', async () => {
  const { socket, said, broke } = uploadToFull([]);
  socket.pause();
  for (let unit = 0; unit < 20; unit += 1) {
    await new Promise((resolve) => socket.write(Buffer.alloc(UNIT), resolve));
  }
  socket.resume();
  await once(socket, 'end');
  expect(said()).toMatch(/HTTP\/1\.1 507 [^]*"code":507/);
  const closed = once(socket, 'close');
  socket.end();
  await closed;
  expect(broke()).toBeUndefined();
});
