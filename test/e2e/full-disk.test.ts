import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clearGround, layGround } from '../../src/chaos/ground.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import { whileHostWorkerIsFrozen } from './frozen-host-worker.js';
import { startService, type RunningService } from './running-service.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const HOME = process.env['DORMOUSE_HOME'] ?? '/var/lib/dormouse';
const GROUND = { stateDir: path.join(HOME, `test-full-${process.pid}`), libvirtUri: 'qemu:///system' };
const HOG = `${GROUND.stateDir}/hog`;
const RESERVED_MIB = 512;
/** Of each sandbox that is awake: room for the image of its pause. */
const IMAGE_MIB = 512;

let service: RunningService | undefined;
beforeAll(async () => {
  await layGround(GROUND);
  service = await startService('full', 800, {
    ...{ DORMOUSE_STATE_DIR: GROUND.stateDir, DORMOUSE_OVERLAY_POOL: '0' },
    DORMOUSE_RESERVED_DISK_MIB: String(RESERVED_MIB),
  });
}, 300_000);
afterAll(async () => {
  await service?.end();
  await clearGround(GROUND);
});

async function freeMiB(): Promise<number> {
  const { stdout } = await run('df', ['--output=avail', '-B1', GROUND.stateDir]);
  return Number(stdout.split('\n')[1]) / MIB;
}

const fillUpTo = async (leftMiB: number): Promise<void> =>
  void (await run('fallocate', ['-l', `${Math.floor((await freeMiB()) - leftMiB)}MiB`, HOG]));

const state = async (id: string): Promise<string> =>
  (await run('virsh', ['domstate', '--reason', `dormouse-${id}`])).stdout.trim();

/** Each time to another file: what an earlier one took up on the host's disk would be used again. */
const written = (mib: number): string =>
  `sleep 3; head -c ${mib}M /dev/urandom | tee /dev/shm/copy > big-${mib}; sync; cmp /dev/shm/copy big-${mib}; wc -c < big-${mib}; rm /dev/shm/copy`;

test('a guest that grows into the reserve is held, another one works and is paused, and nothing is lost', async () => {
  const api = new ApiClient(service!);
  const [id, other] = [await api.create({ timeout: 600 }), await api.create({ timeout: 600 })];
  const [client, neighbour] = [await clientOf(service!, id), await clientOf(service!, other)];
  await fillUpTo(RESERVED_MIB + 2 * IMAGE_MIB + 20);
  const writing = client.commands.run(written(100), { timeoutMs: 170_000 });
  await expect.poll(() => state(id), { timeout: 100_000, interval: 50 }).toBe('paused (user)');
  expect(await freeMiB()).toBeGreaterThan(2 * IMAGE_MIB);
  expect(await api.state(id)).toBe('running');
  expect((await neighbour.commands.run('echo here')).stdout).toBe('here\n');
  expect((await api.call('POST', `/sandboxes/${other}/pause`)).status).toBe(204);
  expect(await state(id)).toBe('paused (user)');
  await rm(HOG);
  expect((await writing).stdout.trim()).toBe(String(100 * MIB));

  // While no host worker looks, QEMU itself holds a guest that finds no room.
  // In the background: it has begun once this is answered.
  const again = await client.commands.run(written(60), { timeoutMs: 170_000, background: true });
  await whileHostWorkerIsFrozen(GROUND.stateDir, async () => {
    await fillUpTo(6);
    await expect.poll(() => state(id), { timeout: 100_000, interval: 50 }).toBe('paused (I/O error)');
  });
  await rm(HOG);
  expect((await again.wait()).stdout.trim()).toBe(String(60 * MIB));
  await client.kill();
}, 600_000);
