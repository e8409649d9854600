import { afterAll, beforeAll, expect, test } from 'vitest';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, collect, run } from './run-command.js';

/** Commands that leave programs in the background, which hold their outputs. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(async () => {
  for (const pid of await pidsOf('')) process.kill(pid, 'SIGKILL');
  await agent.stop();
});

/** A time to sleep by which the programs of this file are found. */
const nap = (number: number): string => `9${process.pid}${number}.5`;

async function pidsOf(number: number | ''): Promise<number[]> {
  const wanted = `sleep\0${number === '' ? `9${process.pid}` : nap(number)}`;
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(all.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return all.filter((_, index) => lines[index]!.startsWith(wanted)).map(Number);
}

const at = (name: string): string => `${agent.directory}/${name}`;
const contentOf = (name: string): Promise<string> => readFile(at(name), 'utf8').catch(() => '');
const listed = async (): Promise<number[]> => (await agent.processes.list({})).processes.map(({ pid }) => pid);

test.each([
  ['a child', (sleep: string) => `${sleep} & echo up`],
  ['a child in a session of its own', (sleep: string) => `setsid ${sleep} & echo up`],
  ['a child that is disowned, in a pipeline', (sleep: string) => `${sleep} | cat & disown; echo up`],
])('a command ends with its process while %s holds its outputs, which lives on', async (_name, script) => {
  const number = script('').length;
  const { stdout, end, pid } = await run(agent, bash(script(`sleep ${nap(number)}`)), { timeoutMs: 60_000 });
  expect([stdout, end?.exitCode, end?.status]).toEqual(['up\n', 0, 'exit status 0']);
  expect(await listed()).not.toContain(pid);
  expect(await pidsOf(number)).toHaveLength(1);
});

test('all that a command printed comes before its end, also what a program behind it prints last', async () => {
  const long = await run(agent, bash(`sleep ${nap(1)} & seq 100000; echo last; exit 3`));
  expect([long.stdout.length, long.stdout.endsWith('\nlast\n'), long.end?.exitCode]).toEqual([588_900, true, 3]);
  const half = await run(agent, bash(`sleep ${nap(1)} & printf 'a\\xe2\\x82'`));
  expect(half.stdout).toBe(`a${Buffer.from([0xe2, 0x82]).toString()}`);
  const behind = await run(agent, bash('exec > >(cat); echo behind'));
  expect(behind.stdout).toBe('behind\n');
});

test('a child that prints after the end, more than a pipe holds, and after the time limit, is not disturbed', async () => {
  const script = `(until [ -e ${at('go')} ]; do sleep 0.05; done; head -c 300000 /dev/zero && echo over > ${at('over')}) & echo up`;
  const limitMs = 3_000;
  expect((await run(agent, bash(script), { timeoutMs: limitMs })).stdout).toBe('up\n');
  // One that was given the same limit later has met it.
  const later = run(agent, bash(`exec sleep ${nap(3)}`), { timeoutMs: limitMs });
  await expect(later).rejects.toThrow('[deadline_exceeded]');
  await expect.poll(() => pidsOf(3)).toEqual([]);
  await writeFile(at('go'), '');
  await expect.poll(() => contentOf('over'), { timeout: 10_000 }).toBe('over\n');
});

test('a command ends while a child in the background prints without end', async () => {
  const { stdout, end } = await run(agent, bash(`(while sleep 0.01; do echo tick; done) & echo $!`), {
    timeoutMs: 60_000,
  });
  expect(end?.exitCode).toBe(0);
  process.kill(Number(stdout.split('\n')[0]), 'SIGKILL');
});

test('a terminal ends with its shell', async () => {
  const request = { ...bash(`sleep ${nap(2)} & echo up`), pty: { size: { cols: 80, rows: 24 } } };
  const { pty, end } = await collect(agent.processes.start(request, { timeoutMs: 60_000 }));
  expect([pty.trim(), end?.exitCode]).toEqual(['up', 0]);
});
