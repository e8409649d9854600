import { afterAll, beforeAll, expect, test } from 'vitest';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { normaliseTimeout } from '../../src/agent/rpc-timeout.js';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { run } from './run-command.js';

/** What a guest's programs and clients do in excess stays within bounds. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
/** No login shell: what is killed while it reads the profile may leave a lock of the profile's behind. */
const bash = (script: string) => ({ process: { cmd: '/bin/bash', args: ['-c', script] } });
const MIB = 1024 * 1024;
const BOUND_MIB = 300;

async function peakMemoryMiB(): Promise<number> {
  const status = await readFile(`/proc/${agent.child.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

const byPid = (pid: number) => ({ selector: { case: 'pid', value: pid } }) as const;

const ended = (pids: number[]) =>
  expect
    .poll(async () => (await agent.processes.list({})).processes.filter(({ pid }) => pids.includes(pid)), {
      timeout: 10_000,
    })
    .toEqual([]);

/** Starts a command and hands the bytes of its stream to `onBytes`, unread by any client; resolves at its end. */
function stream(script: string, onBytes: (bytes: Buffer) => void, headers: Record<string, string> = {}): Promise<void> {
  const body = Buffer.from(JSON.stringify({ process: { cmd: '/bin/bash', args: ['-c', script] } }));
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(body.length, 1);
  return new Promise((resolve, reject) => {
    const asked = request(`${agent.url}/process.Process/Start`, {
      method: 'POST',
      headers: { 'content-type': 'application/connect+json', 'x-access-token': TOKEN, ...headers },
    });
    asked.once('error', reject).once('response', (response) => {
      response.on('data', onBytes).once('end', resolve).once('error', reject);
    });
    asked.end(Buffer.concat([envelope, body]));
  });
}

const pidOf = async (start: AsyncIterator<{ event?: { event: { case: string | undefined; value?: unknown } } }>) =>
  ((await start.next()).value as { event: { event: { value: { pid: number } } } }).event.event.value.pid;

test('a command that prints 1 GB, and one whose 100 MB are read, do not grow the agent', async () => {
  let bytes = 0;
  await stream('head -c 100M /dev/zero', (piece) => void (bytes += piece.length));
  expect(bytes).toBeGreaterThan(100 * MIB);
  const gone = new AbortController();
  const command = bash(`head -c 1G /dev/zero; echo over > ${at('over')}`);
  const reading = async (): Promise<void> => {
    for await (const { event } of agent.processes.start(command, { signal: gone.signal }))
      if (event?.event.case === 'start') setTimeout(() => gone.abort(), 200);
  };
  await expect(reading()).rejects.toThrow();
  await expect.poll(() => readFile(at('over'), 'utf8').catch(() => ''), { timeout: 120_000 }).toBe('over\n');
  expect(await peakMemoryMiB()).toBeLessThan(BOUND_MIB);
}, 180_000);

test('while commands print without end, other calls are answered', async () => {
  const gone = new AbortController();
  const pids: number[] = [];
  const printing = [1, 2, 3].map(async () => {
    for await (const { event } of agent.processes.start(bash('exec yes'), { signal: gone.signal }))
      if (event?.event.case === 'start') pids.push(event.event.value.pid);
  });
  await expect.poll(() => pids.length, { timeout: 10_000 }).toBe(3);
  gone.abort();
  await Promise.allSettled(printing);
  const printed = () =>
    Promise.all(pids.map(async (pid) => Number(/wchar: (\d+)/.exec(await readOf(String(pid), 'io'))?.[1])));
  const before = await printed();
  const allPrint = async () => (await printed()).every((bytes, index) => bytes > before[index]! + MIB);
  for (let answers = 0; answers < 20 || !(await allPrint()); answers++) {
    const { processes } = await agent.processes.list({});
    expect(processes.map(({ pid }) => pid)).toEqual(expect.arrayContaining(pids));
  }
  for (const pid of pids) await agent.processes.sendSignal({ process: byPid(pid), signal: 9 });
  await ended(pids);
});

test.each([
  ['a command', 'stdin', {}],
  ['a terminal', 'pty', { pty: { size: { cols: 80, rows: 24 } } }],
] as const)(
  'input for %s that does not read it is refused when too much of it waits',
  async (_name, kind, more) => {
    const script = kind === 'pty' ? 'stty raw -echo; sleep 100' : 'sleep 100';
    const start = agent.processes.start({ ...bash(script), ...more })[Symbol.asyncIterator]();
    const process = byPid(await pidOf(start as never));
    const input = { input: { case: kind, value: Buffer.alloc(5 * MIB, 'x') } } as const;
    const sending = Array.from({ length: 3 }, () => agent.processes.sendInput({ process, input }));
    const refused = await Promise.any(
      sending.map((one) =>
        one.then(
          () => Promise.reject(new Error()),
          (error: unknown) => error,
        ),
      ),
    );
    expect(String(refused)).toContain('[resource_exhausted] the process does not read its input');
    await agent.processes.sendSignal({ process, signal: 9 });
    await Promise.allSettled(sending);
    expect((await run(agent, bash('echo alive'))).stdout).toBe('alive\n');
  },
  120_000,
);

test('watchers are limited in number, and each in what it keeps', async () => {
  await mkdir(at('watched'));
  const made: string[] = [];
  const more = async () => {
    for (;;) made.push((await agent.filesystem.createWatcher({ path: at('watched') })).watcherId);
  };
  await expect(more()).rejects.toThrow('[resource_exhausted] there are 256 watchers already');
  const [first, ...others] = made;
  for (const watcherId of others) await agent.filesystem.removeWatcher({ watcherId });
  await run(agent, bash(`cd ${at('watched')} && seq 40000 | xargs touch && seq 40000 | xargs rm`));
  await delay(500);
  const { events } = await agent.filesystem.getWatcherEvents({ watcherId: first! });
  expect(events.length).toBeGreaterThan(1_000);
  expect(events.length).toBeLessThanOrEqual(65_536);
  expect((await agent.filesystem.createWatcher({ path: at('watched') })).watcherId).toMatch(/^[0-9a-f-]{36}$/);
}, 120_000);

test('ended commands leave no zombies, and a killed one takes its whole group with it', async () => {
  const marker = `8${process.pid}3.5`;
  const start = agent.processes.start(bash(`sleep ${marker} & sleep ${marker} | cat`))[Symbol.asyncIterator]();
  const pid = await pidOf(start as never);
  await expect.poll(() => running(`sleep\0${marker}`)).toBe(2);
  await agent.processes.sendSignal({ process: byPid(pid), signal: 9 });
  await expect.poll(() => running(`sleep\0${marker}`)).toBe(0);
  await Promise.all(Array.from({ length: 20 }, () => run(agent, bash('true'))));
  await expect.poll(zombies).toEqual([]);
});

const processes = async (): Promise<string[]> => (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
const readOf = (pid: string, file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');

async function running(commandLine: string): Promise<number> {
  const lines = await Promise.all((await processes()).map((pid) => readOf(pid, 'cmdline')));
  return lines.filter((line) => line.startsWith(commandLine)).length;
}

async function zombies(): Promise<string[]> {
  const lines = await Promise.all((await processes()).map((pid) => readOf(pid, 'stat')));
  return lines.filter((line) => line.includes(` Z ${agent.child.pid} `));
}

test.each(['1000', '1000.0', '999.5'])('a time limit of %s ms ends a command and its stream', async (limit) => {
  const headers = { 'connect-timeout-ms': limit };
  const pieces: Buffer[] = [];
  await stream('sleep infinity', (bytes) => pieces.push(bytes), headers);
  const said = Buffer.concat(pieces).toString();
  expect(said).toContain('"deadline_exceeded"');
  await ended([Number(/"pid":(\d+)/.exec(said)?.[1])]);
  normaliseTimeout({ headers } as unknown as IncomingMessage);
  expect(headers).toEqual({ 'connect-timeout-ms': '1000' });
});

test.each(['soon', '-5', '0', 'NaN', '1e99', ''])('a time limit of %j is none', async (limit) => {
  const pieces: Buffer[] = [];
  await stream('sleep 0.2; echo over', (bytes) => pieces.push(bytes), { 'connect-timeout-ms': limit });
  expect(Buffer.concat(pieces).toString()).toContain('"exited":true');
});

test('metrics and variables are told as the control plane expects them', async () => {
  const asked = Math.floor(Date.now() / 1000);
  const metrics = (await (await agent.fetch('/metrics')).json()) as Record<string, number>;
  expect(metrics['ts']).toBeGreaterThanOrEqual(asked);
  expect(metrics['ts']).toBeLessThanOrEqual(Date.now() / 1000);
  const names = [
    'ts',
    'cpu_count',
    'cpu_used_pct',
    'mem_total',
    'mem_used',
    'mem_cache',
    'mem_total_mib',
    'mem_used_mib',
  ];
  expect(Object.keys(metrics).sort()).toEqual([...names, 'disk_used', 'disk_total'].sort());
  expect(Object.values(metrics).every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
  expect(metrics['cpu_used_pct']).toBeLessThanOrEqual(100);
  expect(metrics['mem_used']).toBeLessThan(metrics['mem_total']!);
  expect(metrics['mem_total_mib']).toBe(Math.floor(metrics['mem_total']! / MIB));
  expect(metrics['disk_used']).toBeLessThan(metrics['disk_total']!);
  expect(await (await agent.fetch('/envs')).json()).toEqual({ SANDBOX_VARIABLE: 'from create' });
});
