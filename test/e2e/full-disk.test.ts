import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clearGround, layGround } from '../../src/chaos/ground.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import { startService, type RunningService } from './running-service.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const HOME = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
const GROUND = { stateDir: path.join(HOME, `test-full-${process.pid}`), libvirtUri: 'qemu:///system' };

let service: RunningService | undefined;
beforeAll(async () => {
  await layGround(GROUND);
  service = await startService('full', 800, { DORMOUSE_STATE_DIR: GROUND.stateDir, DORMOUSE_OVERLAY_POOL: '0' });
}, 300_000);
afterAll(async () => {
  await service?.end();
  await clearGround(GROUND);
});

test('a guest whose disk finds no room on the host stands until there is some, and loses nothing of what it writes', async () => {
  const api = new ApiClient(service!);
  const id = await api.create({ timeout: 600 });
  const client = await clientOf(service!, id);
  const { stdout: free } = await run('df', ['--output=avail', '-B1', GROUND.stateDir]);
  const hog = `${GROUND.stateDir}/hog`;
  await run('fallocate', ['-l', String(Number(free.split('\n')[1]) - 6 * MIB), hog]);
  const writing = client.commands.run(
    'head -c 40M /dev/urandom | tee /dev/shm/copy > big; sync; cmp /dev/shm/copy big; wc -c < big',
    { timeoutMs: 170_000 },
  );
  const state = async (): Promise<string> =>
    (await run('virsh', ['domstate', '--reason', `dormouse-${id}`])).stdout.trim();
  await expect.poll(state, { timeout: 100_000, interval: 50 }).toBe('paused (I/O error)');
  expect(await api.state(id)).toBe('running');
  await rm(hog);
  expect((await writing).stdout.trim()).toBe(String(40 * MIB));
  await client.kill();
});
