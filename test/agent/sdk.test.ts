import { afterAll, beforeAll, expect, test } from 'vitest';
import { FileNotFoundError, FilesystemEventType, Sandbox } from 'e2b';
import { AGENT_VERSION } from '../../src/agent/version.js';
import { initialise, startAgent, TOKEN, type RunningAgent } from './agent-process.js';
import { NO_PROFILE } from './run-command.js';

/** What the published client does with the agent, without a sandbox around it. */
let agent: RunningAgent;
let sandbox: Sandbox;
beforeAll(async () => {
  agent = await startAgent();
  await initialise(agent.address, NO_PROFILE);
  const options = {
    ...{ sandboxId: 'i1', envdVersion: AGENT_VERSION, envdAccessToken: TOKEN, sandboxUrl: agent.url },
    ...{ apiKey: 'e2b_0000000000000000000000000000000000000000', validateApiKey: false },
  };
  sandbox = new (Sandbox as unknown as new (given: object) => Sandbox)(options);
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;

test('the client runs commands, in the foreground and in the background', async () => {
  expect(await sandbox.isRunning()).toBe(true);
  const result = await sandbox.commands.run('echo "$A ✓"; echo err >&2', { envs: { A: '1' }, cwd: '/tmp' });
  expect(result).toMatchObject({ exitCode: 0, stdout: '1 ✓\n', stderr: 'err\n' });
  await expect(sandbox.commands.run('exit 5')).rejects.toMatchObject({ exitCode: 5 });
  await expect(sandbox.commands.run('sleep 5', { timeoutMs: 200 })).rejects.toThrow(/timed out|deadline|timeout/i);
  const cat = await sandbox.commands.run('cat', { background: true, stdin: true });
  expect((await sandbox.commands.list()).map((one) => one.pid)).toContain(cat.pid);
  await sandbox.commands.sendStdin(cat.pid, 'typed');
  await sandbox.commands.closeStdin(cat.pid);
  expect(await cat.wait()).toMatchObject({ stdout: 'typed' });
  const sleeping = await sandbox.commands.run('sleep 100', { background: true });
  const connected = await sandbox.commands.connect(sleeping.pid);
  expect(await sandbox.commands.kill(sleeping.pid)).toBe(true);
  await expect(connected.wait()).rejects.toMatchObject({ exitCode: -1 });
  await expect(sleeping.wait()).rejects.toMatchObject({ exitCode: -1 });
  expect(await sandbox.commands.kill(4_000_000)).toBe(false);
});

test('the client writes, reads, lists, moves and removes files', async () => {
  const info = await sandbox.files.write(at('sdk/a.txt'), 'hällo', { metadata: { owner: 'me' } });
  expect(info).toMatchObject({ name: 'a.txt', path: at('sdk/a.txt') });
  expect(await sandbox.files.read(at('sdk/a.txt'))).toBe('hällo');
  await sandbox.files.write(at('sdk/zipped'), 'zipped', { gzip: true });
  expect(await sandbox.files.read(at('sdk/zipped'), { gzip: true })).toBe('zipped');
  await sandbox.files.write([
    { path: at('sdk/1'), data: 'one' },
    { path: at('sdk/2'), data: 'two' },
  ]);
  expect((await sandbox.files.list(at('sdk'))).map((entry) => entry.name)).toEqual(['1', '2', 'a.txt', 'zipped']);
  expect(await sandbox.files.getInfo(at('sdk/a.txt'))).toMatchObject({ type: 'file', metadata: { owner: 'me' } });
  expect(await sandbox.files.makeDir(at('sdk/dir'))).toBe(true);
  expect(await sandbox.files.makeDir(at('sdk/dir'))).toBe(false);
  expect(await sandbox.files.rename(at('sdk/1'), at('sdk/dir/1'))).toMatchObject({ path: at('sdk/dir/1') });
  await sandbox.files.remove(at('sdk/2'));
  expect([await sandbox.files.exists(at('sdk/2')), await sandbox.files.exists(at('sdk/dir/1'))]).toEqual([false, true]);
  await expect(sandbox.files.read(at('sdk/2'))).rejects.toBeInstanceOf(FileNotFoundError);
});

test('the client watches a directory', async () => {
  await sandbox.files.makeDir(at('seen'));
  const events: { name: string; type: string }[] = [];
  const options = { includeEntry: true, recursive: true };
  const handle = await sandbox.files.watchDir(at('seen'), (event) => void events.push(event), options);
  await sandbox.files.write(at('seen/f'), 'x');
  await expect
    .poll(() => events)
    .toContainEqual(expect.objectContaining({ name: 'f', type: FilesystemEventType.WRITE }));
  await handle.stop();
});

test('the client uses a terminal', async () => {
  let said = '';
  const terminal = await sandbox.pty.create({
    ...{ cols: 80, rows: 24 },
    onData: (data) => void (said += Buffer.from(data).toString('utf8')),
  });
  await sandbox.pty.resize(terminal.pid, { cols: 100, rows: 30 });
  await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode('stty size\nexit\n'));
  expect(await terminal.wait()).toMatchObject({ exitCode: 0 });
  expect(said).toContain('30 100');
});

test('the client signs addresses of files that need no token', async () => {
  const upload = await sandbox.uploadUrl(at('signed'), { useSignatureExpiration: 60 });
  const form = new FormData();
  form.append('file', new Blob(['by address']), 'ignored');
  expect((await fetch(upload, { method: 'POST', body: form })).status).toBe(200);
  const download = await sandbox.downloadUrl(at('signed'), { useSignatureExpiration: 60 });
  expect(await (await fetch(download)).text()).toBe('by address');
});
