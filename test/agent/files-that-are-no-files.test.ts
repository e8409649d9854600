import { afterAll, beforeAll, expect, test } from 'vitest';
import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { promisify } from 'node:util';
import { FileType } from '../../src/gen/filesystem/filesystem_pb.js';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

/** Named pipes, sockets and devices: to open one may wait for ever for another program. */
let agent: RunningAgent;
let socket: Server;
beforeAll(async () => {
  agent = await startAgent();
  await mkdir(at('odd'));
  await promisify(execFile)('mkfifo', [at('odd/pipe'), ...sixPipes()]);
  await symlink('pipe', at('odd/link'));
  await writeFile(at('odd/plain'), 'plain');
  socket = createServer().listen(at('odd/socket'));
});
afterAll(async () => {
  socket.close();
  await agent.stop();
});

const at = (name: string): string => `${agent.directory}/${name}`;
const sixPipes = (): string[] => Array.from({ length: 6 }, (_, index) => at(`odd/p${index}`));
const files = (path: string): string => `/files?${new URLSearchParams({ path })}`;
const read = (path: string, options: RequestInit = {}) => agent.fetch(files(path), options);
const write = (path: string, options: RequestInit = {}) =>
  agent.fetch(files(path), { method: 'POST', body: 'hello', ...options });
const answered = async (answer: Response) => [answer.status, ((await answer.json()) as { message: string }).message];

test.each([
  ['odd/pipe', 'a named pipe'],
  ['odd/link', 'a named pipe'],
  ['odd/socket', 'a socket'],
])('a read and a write of %s are refused with what it is', async (name, kind) => {
  const refused = [400, `'${at(name)}' is ${kind}, not a regular file`];
  expect(await answered(await read(at(name)))).toEqual(refused);
  expect(await answered(await write(at(name)))).toEqual(refused);
  const form = new FormData();
  form.append('file', new Blob(['x']), at(name));
  expect(await answered(await agent.fetch('/files', { method: 'POST', body: form }))).toEqual(refused);
});

test.each(['/dev/zero', '/dev/tty', '/dev/ptmx'])('a read of the device %s is refused', async (device) => {
  expect(await answered(await read(device))).toEqual([400, `'${device}' is a character device, not a regular file`]);
});

test('a device that takes nothing more ends its own upload only', async () => {
  expect((await write('/dev/full')).status).toBe(507);
  expect((await write('/dev/null')).status).toBe(200);
});

test('after six pipes were read and written by clients that gave up, everything answers', async () => {
  await Promise.all(
    sixPipes().flatMap((pipe) =>
      [read, write].map((call) => call(pipe, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)),
    ),
  );
  expect(await (await read(at('odd/plain'))).text()).toBe('plain');
  expect((await write(at('odd/written'))).status).toBe(200);
  expect(await readFile(at('odd/written'), 'utf8')).toBe('hello');
  expect((await agent.filesystem.listDir({ path: at('odd') })).entries.length).toBeGreaterThan(8);
  expect((await run(agent, bash('echo hi'))).stdout).toBe('hi\n');
});

test('a pipe is listed, described, watched, renamed and removed, and never opened', async () => {
  const { filesystem } = agent;
  const { entries } = await filesystem.listDir({ path: at('odd') });
  const told = Object.fromEntries(entries.map(({ name, permissions, type }) => [name, [permissions[0], type]]));
  expect(told).toMatchObject({
    pipe: ['p', FileType.UNSPECIFIED],
    socket: ['s', FileType.UNSPECIFIED],
    plain: ['-', FileType.FILE],
  });
  await expect(filesystem.listDir({ path: at('odd/pipe') })).rejects.toThrow('[invalid_argument]');
  await expect(filesystem.makeDir({ path: at('odd/pipe') })).rejects.toThrow('[invalid_argument]');
  await expect(filesystem.createWatcher({ path: at('odd/pipe') })).rejects.toThrow('[invalid_argument]');
  const { entry } = await filesystem.move({ source: at('odd/pipe'), destination: at('odd/moved') });
  expect(entry).toMatchObject({ name: 'moved', permissions: expect.stringMatching(/^p/) });
  await filesystem.remove({ path: at('odd/moved') });
  await expect(filesystem.stat({ path: at('odd/moved') })).rejects.toThrow('[not_found]');
});

test('six reads of a file whose read waits for the kernel cost no thread', async () => {
  // /proc/kmsg is a regular file whose read waits for the kernel to say something.
  const answers = await Promise.all(Array.from({ length: 6 }, () => read('/proc/kmsg').catch(() => undefined)));
  for (const answer of answers) await answer?.body?.cancel().catch(() => undefined);
  expect((await run(agent, bash('echo hi'))).stdout).toBe('hi\n');
});
