import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  Signal,
  type SendInputRequestSchema,
  type StreamInputRequestSchema,
} from '../../src/gen/process/process_pb.js';
import { asRoot, initialise, startAgent, type RunningAgent } from './agent-process.js';
import { bash, collect, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const basic = (name: string) => ({ headers: { authorization: `Basic ${Buffer.from(`${name}:`).toString('base64')}` } });
const byPid = (pid: number) => ({ selector: { case: 'pid', value: pid } as const });

test('a command says that it started, then what it writes, then how it ended', async () => {
  const result = await run(agent, { ...bash('echo out; echo err >&2'), stdin: false });
  expect(result.kinds).toEqual(['start', 'data', 'end']);
  expect([result.stdout, result.stderr]).toEqual(['out\n', 'err\n']);
  expect(result.end).toMatchObject({ exitCode: 0, exited: true, status: 'exit status 0' });
  expect(result.end?.error).toBeUndefined();
});

test('a command can open its own input and outputs by their names', async () => {
  const script =
    'echo out > /dev/stdout; echo err > /dev/stderr; echo in | cat /dev/stdin; tee /dev/stderr < /dev/null';
  for (const options of asRoot ? [{}, basic('nobody')] : [{}]) {
    const result = await run(agent, bash(script, { cwd: '/' }), options);
    expect([result.stdout, result.stderr, result.end?.exitCode]).toEqual(['out\nin\n', 'err\n', 0]);
  }
});

test('a failure and a signal end a command as clients expect it', async () => {
  const failed = { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' };
  expect((await run(agent, bash('exit 3'))).end).toMatchObject(failed);
  const killed = { exitCode: -1, exited: false, status: 'signal: killed', error: 'signal: killed' };
  expect((await run(agent, bash('kill -9 $$'))).end).toMatchObject(killed);
  expect((await run(agent, bash('kill -15 $$'))).end).toMatchObject({ status: 'signal: terminated' });
});

test.each(['sandbox', 'request'])('a variable of the %s may be called __proto__', async (whose) => {
  const map = '{"__proto__":"kept","HOME":"/nonexistent"}';
  await initialise(agent.address, JSON.parse(whose === 'sandbox' ? map : '{}') as Record<string, string>);
  try {
    for (const pty of ['', ',"pty":{"size":{"cols":80,"rows":24}}']) {
      const envs = whose === 'request' ? map : '{"HOME":"/nonexistent"}';
      const start = `{"process":{"cmd":"/usr/bin/printenv","args":["__proto__"],"envs":${envs}}${pty}}`;
      const head = Buffer.alloc(5);
      head.writeUInt32BE(start.length, 1);
      const answer = await agent.fetch('/process.Process/Start', {
        method: 'POST',
        headers: { 'content-type': 'application/connect+json' },
        body: Buffer.concat([head, Buffer.from(start)]),
      });
      expect([pty, await answer.text()]).toEqual([pty, expect.stringMatching(/"a2VwdA(0K|o=)"/)]);
    }
    if (whose === 'sandbox') expect(await (await agent.fetch('/envs')).text()).toBe(map);
  } finally {
    await initialise(agent.address);
  }
});

test('the environment is the users, then the sandboxes, then the requests', async () => {
  const envs = { REQUESTED: 'yes', SANDBOX_VARIABLE: 'overridden' };
  const names = 'echo "$HOME $USER $LOGNAME $SANDBOX_VARIABLE $REQUESTED $(umask)"';
  const plain = await run(agent, bash(names));
  expect(plain.stdout).toMatch(/^\/\S+ (\S+) \1 from create {2}0022\n$/);
  expect((await run(agent, bash(names, { envs }))).stdout).toMatch(/ overridden yes 0022\n$/);
});

test('a command starts in the home, in a path relative to it, or not at all where there is no directory', async () => {
  const at = async (cwd?: string) => (await run(agent, bash('pwd', cwd === undefined ? {} : { cwd }))).stdout.trim();
  const home = await at();
  expect(await at('~')).toBe(home);
  expect(await at('..')).toBe(new URL('..', `file://${home}/`).pathname);
  expect(await at('/tmp')).toBe('/tmp');
  await expect(at('/nowhere')).rejects.toThrow('[invalid_argument]');
  await expect(run(agent, { process: { cmd: '/no/such' } })).rejects.toThrow('[invalid_argument]');
});

test('a command runs as the user of the request, with all groups of that user', async (context) => {
  context.skip(!asRoot, 'needs root');
  const { stdout } = await run(agent, bash('id -un; id -G; echo $HOME', { cwd: '/' }), basic('nobody'));
  expect(stdout).toBe('nobody\n65534\n/nonexistent\n');
  await expect(run(agent, bash('id'), basic('no-such-user'))).rejects.toThrow('[unauthenticated]');
});

test('a command gets what is sent to its stdin, and its end', async () => {
  const stream = agent.processes.start(bash('cat; echo over'))[Symbol.asyncIterator]();
  const first = await stream.next();
  const start = first.value?.event?.event;
  const pid = start?.case === 'start' ? start.value.pid : 0;
  const stdin = (text: string) => ({ input: { case: 'stdin', value: Buffer.from(text) } }) as const;
  await agent.processes.sendInput({ process: byPid(pid), input: stdin('ab') });
  await agent.processes.streamInput(
    (async function* (): AsyncGenerator<MessageInitShape<typeof StreamInputRequestSchema>> {
      yield { event: { case: 'start', value: { process: byPid(pid) } } };
      yield { event: { case: 'data', value: { input: stdin('cd') } } };
      yield { event: { case: 'keepalive', value: {} } };
      yield { event: { case: 'data', value: { input: stdin('ef') } } };
    })(),
  );
  const wrong: MessageInitShape<typeof SendInputRequestSchema> = {
    process: byPid(pid),
    input: { input: { case: 'pty', value: Buffer.from('x') } },
  };
  await expect(agent.processes.sendInput(wrong)).rejects.toThrow('[internal]');
  await agent.processes.closeStdin({ process: byPid(pid) });
  const rest = await collect({ [Symbol.asyncIterator]: () => stream });
  expect([rest.stdout, rest.end?.exitCode]).toEqual(['abcdefover\n', 0]);
});

test('a command started without stdin reads its end at once and takes no input', async () => {
  const result = await run(agent, { ...bash('cat; echo over'), stdin: false });
  expect(result.stdout).toBe('over\n');
});

test('when the time of a stream is over the whole group of the command is killed', async () => {
  const marker = `9${process.pid}7.5`;
  await expect(run(agent, bash(`sleep ${marker} & sleep ${marker}`), { timeoutMs: 300 })).rejects.toThrow(
    '[deadline_exceeded]',
  );
  // By itself it would sleep for days.
  const left = async () => (await run(agent, bash(`pgrep -fc '^sleep ${marker}' || true`))).stdout;
  await expect.poll(left).toBe('0\n');
});

test('a command outlives its client, is listed, connected to by pid and tag, and killed', async () => {
  const gone = new AbortController();
  const script = 'while :; do echo tick; sleep 0.05; done';
  let pid = 0;
  const watching = async () => {
    for await (const { event } of agent.processes.start({ ...bash(script), tag: 'mine' }, { signal: gone.signal })) {
      if (event?.event.case === 'start') pid = event.event.value.pid;
      if (event?.event.case === 'data') gone.abort();
    }
  };
  await expect(watching()).rejects.toThrow('[canceled]');
  const { processes } = await agent.processes.list({});
  expect(processes.find((one) => one.pid === pid)).toMatchObject({ tag: 'mine', config: { cmd: '/bin/bash' } });
  const connected = collect(agent.processes.connect({ process: { selector: { case: 'tag', value: 'mine' } } }));
  await delay(200);
  await agent.processes.sendSignal({ process: byPid(pid), signal: Signal.SIGKILL });
  const result = await connected;
  expect(result).toMatchObject({ pid, kinds: ['start', 'data', 'end'], end: { status: 'signal: killed' } });
  expect(result.stdout).toMatch(/^(tick\n)+$/);
  expect((await agent.processes.list({})).processes).toEqual([]);
  const late = await collect(agent.processes.connect({ process: byPid(pid) }));
  expect(late).toMatchObject({ kinds: ['start', 'end'], end: { status: 'signal: killed' } });
});

test('a process that is not there is not found, and other signals are not for sending', async () => {
  const process = byPid(4_000_000);
  const { connect, sendSignal, sendInput, closeStdin, update } = agent.processes;
  await expect(collect(connect({ process }))).rejects.toThrow('[not_found]');
  await expect(sendSignal({ process, signal: Signal.SIGKILL })).rejects.toThrow('[not_found]');
  await expect(sendInput({ process })).rejects.toThrow('[not_found]');
  await expect(closeStdin({ process })).rejects.toThrow('[not_found]');
  await expect(update({ process })).rejects.toThrow('[not_found]');
});

test('silence is filled with keepalives, never before the start', async () => {
  const result = await run(agent, bash('sleep 0.35'), { headers: { 'keepalive-ping-interval': '0.1' } });
  expect(result.kinds).toEqual(['start', 'keepalive', 'end']);
});

test('what the agent starts is no better protected from the search for memory than anything else', async () => {
  const { stdout } = await run(agent, bash('cat /proc/self/oom_score_adj'));
  expect(Number(stdout)).toBe(Math.max(0, Number(await readFile('/proc/self/oom_score_adj', 'utf8'))));
});

test('text is cut between characters, whatever the pieces', async () => {
  const script = `python3 -c "
import os,time
for byte in '€😀é'.encode() * 20:
    os.write(1, bytes([byte])); time.sleep(0.001)"`;
  expect((await run(agent, bash(script))).stdout).toBe('€😀é'.repeat(20));
});
