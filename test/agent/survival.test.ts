import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { bash, collect, run, type Result } from './run-command.js';

/** The agent is killed, again and again; what it knew, the next one knows. */
let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent({ restarted: true });
});
afterAll(() => agent.stop());

const byPid = (pid: number) => ({ selector: { case: 'pid', value: pid } }) as const;
const agentPid = async (): Promise<number> => Number(await readFile(`${agent.directory}/pid`, 'utf8'));

/** Starts a command that outlives its client, and waits until the agent has noted it. */
async function startBackground(request: Parameters<RunningAgent['processes']['start']>[0]): Promise<number> {
  const gone = new AbortController();
  const stream = agent.processes.start(request, { signal: gone.signal, timeoutMs: 0 })[Symbol.asyncIterator]();
  const first = (await stream.next()).value?.event?.event;
  const pid = first?.case === 'start' ? first.value.pid : 0;
  await expect
    .poll(() => readFile(`${agent.directory}/run/state.json`, 'utf8').catch(() => ''))
    .toContain(`"pid":${pid},`);
  return pid;
}

async function killAgent(): Promise<void> {
  const before = await agentPid();
  process.kill(before, 'SIGKILL');
  await expect.poll(agentPid, { timeout: 10_000 }).not.toBe(before);
  // Connections that clients kept are reset, one after the other.
  await expect
    .poll(
      () =>
        listed().then(
          () => true,
          () => false,
        ),
      { timeout: 10_000 },
    )
    .toBe(true);
}

/** Listens to a command; returns once the agent has said so: what is printed from then on is heard. */
async function listen(pid: number): Promise<{ rest: () => Promise<Result> }> {
  const stream = agent.processes.connect({ process: byPid(pid) }, { timeoutMs: 0 });
  const events = stream[Symbol.asyncIterator]();
  const first = await events.next();
  expect(first.value?.event?.event).toMatchObject({ case: 'start', value: { pid } });
  return { rest: () => collect({ [Symbol.asyncIterator]: () => events }) };
}

const listed = async (): Promise<number[]> => (await agent.processes.list({})).processes.map(({ pid }) => pid);

test('a command is listed with its tag, and heard and written to, by the agent that comes after', async () => {
  const pid = await startBackground({
    ...bash('while read -r line; do echo "heard $line"; done; exec sleep 0.5'),
    tag: 'ear',
  });
  await killAgent();
  // Nobody has initialised this one: it has the token of the one before.
  const { processes } = await agent.processes.list({});
  expect(processes).toMatchObject([{ pid, tag: 'ear', config: { cmd: '/bin/bash' } }]);
  const heard = await listen(pid);
  const input = (text: string) => ({ input: { case: 'stdin', value: Buffer.from(text) } }) as const;
  await agent.processes.sendInput({ process: byPid(pid), input: input('one\n') });
  const broken = expect(heard.rest()).rejects.toThrow();
  await killAgent();
  await broken;
  const again = await listen(pid);
  await agent.processes.sendInput({ process: byPid(pid), input: input('two\n') });
  await agent.processes.closeStdin({ process: byPid(pid) });
  const result = await again.rest();
  expect(result.stdout).toContain('heard two\n');
  expect(result.end?.error).toContain('the exit code is not known');
  expect(await listed()).not.toContain(pid);
}, 60_000);

test('a terminal goes on, takes input and is resized by the agent that comes after', async () => {
  const pid = await startBackground({
    ...bash('read -r line; stty size; echo "heard $line"; sleep 0.5'),
    pty: { size: { cols: 80, rows: 24 } },
  });
  await killAgent();
  const heard = await listen(pid);
  await agent.processes.update({ process: byPid(pid), pty: { size: { cols: 101, rows: 33 } } });
  await agent.processes.sendInput({
    process: byPid(pid),
    input: { input: { case: 'pty', value: Buffer.from('one\n') } },
  });
  const result = await heard.rest();
  expect(result.pty).toContain('33 101');
  expect(result.pty).toContain('heard one');
}, 60_000);

test('a command that prints while there is no agent goes on, and its limit is kept', async () => {
  const gone = new AbortController();
  const stream = agent.processes.start(bash('while sleep 0.05; do echo tick; done'), {
    signal: gone.signal,
    timeoutMs: 12_000,
  });
  const first = (await stream[Symbol.asyncIterator]().next()).value?.event?.event;
  const pid = first?.case === 'start' ? first.value.pid : 0;
  await expect.poll(() => readFile(`${agent.directory}/run/state.json`, 'utf8')).toContain(`"pid":${pid},`);
  await killAgent();
  const heard = await collect(agent.processes.connect({ process: byPid(pid) }));
  expect(heard.stdout).toContain('tick\n');
  await expect.poll(listed).not.toContain(pid);
}, 60_000);

test('a child that a command left in the background prints on, whichever agent reads', async () => {
  const at = (name: string): string => `${agent.directory}/${name}`;
  const script = `(until [ -e ${at('go')} ]; do sleep 0.05; done; head -c 300000 /dev/zero && echo over > ${at('over')}) & echo up`;
  expect((await run(agent, bash(script), { timeoutMs: 60_000 })).stdout).toBe('up\n');
  await killAgent();
  await killAgent();
  await writeFile(at('go'), '');
  await expect.poll(() => readFile(at('over'), 'utf8').catch(() => ''), { timeout: 10_000 }).toBe('over\n');
}, 60_000);

test('a command of the agent before ends with its process while a child holds its outputs', async () => {
  const pid = await startBackground(bash('sleep 60 & read -r line; echo "heard $line"'));
  await killAgent();
  const heard = await listen(pid);
  const input = { input: { case: 'stdin', value: Buffer.from('one\n') } } as const;
  await agent.processes.sendInput({ process: byPid(pid), input });
  const result = await heard.rest();
  expect(result.stdout).toBe('heard one\n');
  expect(await listed()).not.toContain(pid);
}, 50_000);

test('who calls while there is no agent is answered by the next one', async () => {
  const before = await agentPid();
  process.kill(before, 'SIGKILL');
  const answers = await Promise.all([1, 2, 3].map(() => agent.fetch('/envs')));
  for (const answer of answers)
    expect([answer.status, await answer.json()]).toEqual([200, { SANDBOX_VARIABLE: 'from create' }]);
  await expect.poll(agentPid, { timeout: 10_000 }).not.toBe(before);
});

test('a name that somebody ends programs by is not the name of the agent', async () => {
  const line = await readFile(`/proc/${await agentPid()}/cmdline`, 'latin1');
  const name = await readFile(`/proc/${await agentPid()}/comm`, 'latin1');
  for (const word of ['node', 'agent', 'server', 'python', 'main']) expect(line + name).not.toContain(word);
});

test('what the agent leaves is for its own user alone, and no command line has the token', async () => {
  const { mode } = await stat(`${agent.directory}/run/state.json`);
  expect(mode & 0o777).toBe(0o600);
  expect(await readFile(`${agent.directory}/run/state.json`, 'utf8')).toContain(TOKEN);
  expect(await readFile(`/proc/${await agentPid()}/cmdline`, 'latin1')).not.toContain(TOKEN);
});
