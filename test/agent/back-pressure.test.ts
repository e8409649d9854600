import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { bash, collect, NO_PROFILE, run } from './run-command.js';

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
  const text = (await framesOf(response)).map((frame) => {
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

test('a listener that reads nothing is cut, alone and with a reason; the process and the others go on', async () => {
  const start = agent.processes.start(bash(`read -r; seq ${LINES}`))[Symbol.asyncIterator]();
  const first = (await start.next()).value?.event?.event;
  const pid = first?.case === 'start' ? first.value.pid : 0;
  const process = { selector: { case: 'pid', value: pid } } as const;
  const deaf = await Promise.all([1, 2].map(() => openUnread('Connect', { process: { pid } })));
  await agent.processes.sendInput({ process, input: { input: { case: 'stdin', value: Buffer.from('go\n') } } });
  const heard = await collect({ [Symbol.asyncIterator]: () => start });
  expect([heard.stdout.length, heard.end?.exitCode]).toEqual([22_888_896, 0]);
  for (const response of deaf) {
    const last = (await framesOf(response)).at(-1) as { error: { code: string; message: string } };
    expect(last.error.code).toBe('resource_exhausted');
    expect(last.error.message).toContain(`Process ${pid} goes on`);
  }
}, 60_000);

test('a process whose only listener reads nothing for long goes on without it', async () => {
  const response = await startUnread(`seq ${LINES}; echo done > ${agent.directory}/alone`);
  await expect
    .poll(() => readFile(`${agent.directory}/alone`, 'utf8').catch(() => ''), { timeout: 80_000 })
    .toBe('done\n');
  expect((await framesOf(response)).at(-1)).toMatchObject({ error: { code: 'resource_exhausted' } });
}, 90_000);

const startUnread = (script: string): Promise<IncomingMessage> =>
  openUnread('Start', { process: { cmd: '/bin/bash', args: ['-l', '-c', script], envs: NO_PROFILE } });

/** Of a stream that nobody has read so far. */
async function framesOf(response: IncomingMessage): Promise<unknown[]> {
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return frames(Buffer.concat(chunks));
}

function openUnread(method: string, message: object): Promise<IncomingMessage> {
  const body = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 1);
  return new Promise((resolve, reject) => {
    const asked = request(`${agent.url}/process.Process/${method}`, {
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
