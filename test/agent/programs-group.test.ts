import { afterAll, beforeAll, expect, test } from 'vitest';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

/** A directory that looks like the kernel's cgroups; what is written there says where the agent puts its programs. */
let cgroups: string;
let agent: RunningAgent;
const programs = (file: string): string => path.join(cgroups, 'programs', file);
beforeAll(async () => {
  cgroups = await mkdtemp(path.join(tmpdir(), 'cgroups-'));
  await writeFile(path.join(cgroups, 'cgroup.controllers'), 'memory pids');
  await mkdir(path.join(cgroups, 'programs'));
  await writeFile(programs('memory.events'), 'low 0\noom 0\noom_kill 4\n');
  await writeFile(programs('pids.events'), 'max 0\n');
  agent = await startAgent({ cgroups });
});
afterAll(async () => {
  await agent.stop();
  await rm(cgroups, { recursive: true, force: true });
});

const read = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
const events = async (): Promise<Record<string, unknown>[]> =>
  ((await (await agent.fetch('/events', { method: 'POST' })).json()) as { events: Record<string, unknown>[] }).events;

test('users programs have a cgroup whose limits leave something to the agent, and each is put there', async () => {
  expect(await read(path.join(cgroups, 'cgroup.subtree_control'))).toBe('+memory +pids');
  const total = Number(/MemTotal: +(\d+)/.exec(await read('/proc/meminfo'))?.[1]) * 1024;
  expect(Number(await read(programs('memory.max')))).toBeLessThan(total);
  const threads = Number(await read('/proc/sys/kernel/threads-max'));
  expect(Number(await read(programs('pids.max')))).toBeGreaterThan(1000);
  expect(Number(await read(programs('pids.max')))).toBeLessThan(threads);
  const { pid } = await run(agent, bash('echo'));
  await expect.poll(() => read(programs('cgroup.procs'))).toBe(String(pid));
});

test('a program that the kernel ended for want of memory ends with words that say so', async () => {
  const oom = `printf 'oom_kill 5\\n' > ${programs('memory.events')}; kill -9 $$`;
  const { end } = await run(agent, bash(oom));
  expect(end).toMatchObject({ exitCode: -1, status: 'signal: killed' });
  expect(end?.error).toMatch(/^signal: killed: the sandbox ran out of memory/);
  const inShell = `printf 'oom_kill 6\\n' > ${programs('memory.events')}; exit 137`;
  expect((await run(agent, bash(inShell))).end?.error).toMatch(/^exit status 137: the sandbox ran out of memory/);
  expect((await run(agent, bash('kill -9 $$'))).end?.error).toBe('signal: killed');
});

test('want of memory and of threads is told with the events of processes', async () => {
  await events();
  await writeFile(programs('memory.events'), 'oom_kill 9\n');
  await writeFile(programs('pids.events'), 'max 2\n');
  const told: Record<string, unknown>[] = [];
  await expect
    .poll(async () => {
      told.push(...(await events()));
      return told.map(({ event }) => event);
    })
    .toEqual(expect.arrayContaining(['out-of-memory', 'too-many-threads']));
  expect(told.reduce((sum, { event, count }) => sum + (event === 'out-of-memory' ? Number(count) : 0), 0)).toBe(3);
});
