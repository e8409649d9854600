import { afterAll, beforeAll, expect, test } from 'vitest';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

/** Whoever is root in a guest removes the agent's files. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent({ restarted: true });
});
afterAll(() => agent.stop());

/** What a process has open. */
async function openIn(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`;
  return Promise.all((await readdir(directory)).map((fd) => readlink(`${directory}/${fd}`).catch(() => '')));
}

const agentPid = (): Promise<string> => readFile(`${agent.directory}/pid`, 'utf8');

test('commands start, and outlive the agent, when all that it has in its directory is gone', async () => {
  expect((await run(agent, bash('echo before'))).stdout).toBe('before\n');
  await rm(`${agent.directory}/run`, { recursive: true });
  // The name of systemd's socket.
  await rm(`${agent.directory}/notify`);
  const outputs = await Promise.all(Array.from({ length: 40 }, (_, number) => run(agent, bash(`echo ${number}`))));
  expect(outputs.map(({ stdout }) => stdout)).toEqual(outputs.map((_, number) => `${number}\n`));
  const ready = `${agent.directory}/ready`;
  const script = `until [ -e ${ready} ]; do sleep 0.05; done; head -c 300000 /dev/zero && echo over > ${ready}`;
  const stream = agent.processes.start(bash(script))[Symbol.asyncIterator]();
  const first = (await stream.next()).value?.event?.event;
  const pid = first?.case === 'start' ? first.value.pid : 0;
  const record = (): Promise<string> => readFile(`${agent.directory}/run/state.json`, 'utf8').catch(() => '');
  await expect.poll(record).toContain(`"pid":${pid},`);
  // What plays systemd has the other ends of its outputs.
  const [, stdout, stderr] = await Promise.all([0, 1, 2].map((fd) => readlink(`/proc/${pid}/fd/${fd}`)));
  await expect
    .poll(() => openIn(agent.child.pid!), { timeout: 10_000 })
    .toEqual(expect.arrayContaining([stdout, stderr]));
  const before = await agentPid();
  process.kill(Number(before), 'SIGKILL');
  await expect.poll(agentPid, { timeout: 10_000 }).not.toBe(before);
  const listed = async (): Promise<number[]> => (await agent.processes.list({})).processes.map((one) => one.pid);
  await expect.poll(() => listed().catch(() => []), { timeout: 10_000 }).toContain(pid);
  await run(agent, bash(`touch ${ready}`));
  await expect.poll(() => readFile(ready, 'utf8'), { timeout: 10_000 }).toBe('over\n');
}, 60_000);
