import { afterAll, beforeAll, expect, test } from 'vitest';
import { asRoot, startAgent, type RunningAgent } from './agent-process.js';
import { bash, NO_PROFILE, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
});
afterAll(() => agent.stop());

const pty = { size: { cols: 91, rows: 31 } };

test('a command on a terminal sees its size, writes to it, and ends with its code', async () => {
  const result = await run(agent, { ...bash('stty size; tty; echo "$TERM"; exit 4', { envs: { TERM: 'dumb' } }), pty });
  expect(result.pty).toMatch(/^31 91\r\n\/dev\/pts\/\d+\r\ndumb\r\n$/);
  expect(result).toMatchObject({ kinds: ['start', 'data', 'end'], end: { exitCode: 4, exited: true } });
});

test('a shell on a terminal takes input, is resized, and is listed', async () => {
  const shell = { cmd: '/bin/bash', args: ['-i', '-l'], envs: { TERM: 'xterm-256color', PS1: '$ ', ...NO_PROFILE } };
  let said = '';
  let pid = 0;
  let code: number | undefined;
  const watching = (async () => {
    for await (const { event } of agent.processes.start({ process: shell, pty })) {
      const what = event?.event;
      if (what?.case === 'start') pid = what.value.pid;
      if (what?.case === 'data') said += Buffer.from(what.value.output.value ?? []).toString('utf8');
      if (what?.case === 'end') code = what.value.exitCode;
    }
  })();
  const says = (text: string | RegExp) => expect.poll(() => said, { timeout: 10_000 }).toMatch(text);
  await says(/[#$] /);
  const process = { selector: { case: 'pid', value: pid } } as const;
  const type = (text: string) =>
    agent.processes.sendInput({ process, input: { input: { case: 'pty', value: Buffer.from(text) } } });
  expect((await agent.processes.list({})).processes.map((one) => one.pid)).toEqual([pid]);
  await agent.processes.update({ process, pty: { size: { cols: 44, rows: 22 } } });
  await type('stty size; cat\n');
  await says('22 44\r\n');
  await type('wörter\n');
  await says('wörter\r\nwörter\r\n');
  await expect(agent.processes.closeStdin({ process })).rejects.toThrow('terminal');
  await type('\x03');
  await says(/\^C/);
  await type('exit 7\n');
  await watching;
  expect(code).toBe(7);
});

test('a terminal belongs to the user on it', async (context) => {
  context.skip(!asRoot, 'needs root');
  const headers = { authorization: `Basic ${Buffer.from('nobody:').toString('base64')}` };
  const { pty: said } = await run(agent, { ...bash('stat -c %U $(tty); id -un', { cwd: '/' }), pty }, { headers });
  expect(said).toBe('nobody\r\nnobody\r\n');
});

test('all that a command wrote to its terminal comes before its end', async () => {
  const { pty: said } = await run(agent, { ...bash('seq 200000'), pty });
  expect(said.trimEnd().split('\r\n')).toHaveLength(200_000);
});
