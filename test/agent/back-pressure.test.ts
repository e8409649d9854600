import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { bash, NO_PROFILE, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const LINES = 3_000_000;

test('a command waits for a client that does not read, the agent does not grow, and nothing is lost', async () => {
  const response = await startUnread(`seq ${LINES}`);
  await delay(700);
  expect(await agentMemoryMiB()).toBeLessThan(250);
  expect((await agent.processes.list({})).processes).toHaveLength(1);
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = frames(Buffer.concat(chunks)).map((frame) => {
    const data = (frame as { event?: { data?: { stdout?: string } } }).event?.data?.stdout;
    return data === undefined ? '' : Buffer.from(data, 'base64').toString('utf8');
  });
  expect(text.join('').trimEnd().endsWith(`\n${LINES}`)).toBe(true);
  expect(text.join('').length).toBe(23_888_896 - 1_000_000 + 0);
});

test('when nobody listens any more a command goes on, its output dropped', async () => {
  const response = await startUnread(`seq ${LINES}; echo done > ${agent.directory}/done`);
  await delay(200);
  response.destroy();
  await expect
    .poll(() => readFile(`${agent.directory}/done`, 'utf8').catch(() => ''), { timeout: 10_000 })
    .toBe('done\n');
  expect((await run(agent, bash('echo still here'))).stdout).toBe('still here\n');
});

function startUnread(script: string): Promise<IncomingMessage> {
  const body = Buffer.from(
    JSON.stringify({ process: { cmd: '/bin/bash', args: ['-l', '-c', script], envs: NO_PROFILE } }),
  );
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 1);
  return new Promise((resolve, reject) => {
    const asked = request(`${agent.url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'content-type': 'application/connect+json', 'x-access-token': TOKEN, 'connect-timeout-ms': '60000.0' },
    });
    asked.once('response', resolve).once('error', reject);
    asked.end(Buffer.concat([header, body]));
  });
}

function frames(bytes: Buffer): unknown[] {
  const found: unknown[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
    found.push(JSON.parse(bytes.toString('utf8', at + 5, at + 5 + bytes.readUInt32BE(at + 1))));
  }
  return found;
}

async function agentMemoryMiB(): Promise<number> {
  const status = await readFile(`/proc/${agent.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
