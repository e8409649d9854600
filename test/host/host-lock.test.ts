import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HOST_THREADS } from '../../src/config.js';
import { lockOnMachine, lockStateDirectory, takenBy } from '../../src/host/host-lock.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'locks-'));
});
afterEach(() => rm(directory, { recursive: true }));

test("a name is one process's at a time, and free again once it was given up", async () => {
  const name = `test-${process.pid}`;
  const give = await lockOnMachine(name, 'it is taken', directory);
  await expect(lockOnMachine(name, 'it is taken', directory)).rejects.toThrow('it is taken');
  await give();
  const again = await lockOnMachine(name, 'it is taken', directory);
  await again();
});

test('of many that try at once one has it', async () => {
  const tries = Array.from({ length: 20 }, () => lockOnMachine('one', 'it is taken', directory));
  const ended = await Promise.allSettled(tries);
  expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

describe('the lock of a state directory', () => {
  /** Another process that locks the same file. */
  const holder = (file: string, user: string[] = []): ReturnType<typeof spawn> =>
    spawn(user[0] ?? '/usr/bin/python3', [
      ...user.slice(1),
      ...(user.length === 0 ? [] : ['/usr/bin/python3']),
      '-c',
      `
import fcntl, sys, time
try:
    f = open(sys.argv[1])
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("locked", flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)
time.sleep(60)
`,
      file,
    ]);

  test('is refused to a second host worker, with what to do', async () => {
    const unlock = await lockStateDirectory(directory);
    await expect(lockStateDirectory(directory)).rejects.toThrow(
      `another host worker already runs on ${directory}. Stop it, or give this one its own DORMOUSE_STATE_DIR.`,
    );
    await unlock();
  });

  test('ends a second host worker for that reason and no other, before it has done anything', async () => {
    const unlock = await lockStateDirectory(directory);
    const second = spawn(process.execPath, [path.resolve('dist/src/mains/host-worker.js')], {
      env: { PATH: process.env['PATH'], DORMOUSE_STATE_DIR: directory, UV_THREADPOOL_SIZE: String(HOST_THREADS) },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    second.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code, signal] = (await once(second, 'close')) as [number | null, string | null];
    expect(said).toContain(takenBy(directory));
    expect([code, signal]).toEqual([null, 'SIGKILL']);
    expect(await readdir(directory)).toEqual(['host.lock']);
    await unlock();
  }, 180_000);

  test('is free again when the process that has it is killed', async () => {
    await (
      await lockStateDirectory(directory)
    )();
    const other = holder(path.join(directory, 'host.lock'));
    expect(String((await once(other.stdout!, 'data'))[0]).trim()).toBe('locked');
    await expect(lockStateDirectory(directory)).rejects.toThrow('another host worker');
    other.kill('SIGKILL');
    await once(other, 'close');
    await (
      await lockStateDirectory(directory)
    )();
  });

  test.runIf(process.getuid?.() === 0)('cannot be taken by another user of the machine', async () => {
    await chmod(directory, 0o711);
    await (
      await lockStateDirectory(directory)
    )();
    const file = path.join(directory, 'host.lock');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const other = holder(file, ['setpriv', '--reuid', '1900000401', '--regid', '1900000401', '--clear-groups']);
    expect(String((await once(other.stdout!, 'data'))[0]).trim()).toBe('PermissionError');
    await (
      await lockStateDirectory(directory)
    )();
    other.kill('SIGKILL');
  });

  test('is no name that any process may take, such as an abstract socket', async () => {
    const name = createHash('sha256').update(directory).digest('hex').slice(0, 32);
    const squatter = createServer().listen(`\0dormouse-host-${name}`);
    await once(squatter, 'listening');
    await (
      await lockStateDirectory(directory)
    )();
    squatter.close();
  });
});
