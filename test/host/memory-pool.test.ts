import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryPool, type PooledTemplate } from '../../src/host/memory-pool.js';

const older = { key: 'older', createdAt: 1, memoryMiB: 512 };
const newer = { key: 'newer', createdAt: 2, memoryMiB: 512 };

let root: string;
let pool: MemoryPool;
let idle = true;
let room = true;
let copy: (template: PooledTemplate, file: string, signal: AbortSignal) => Promise<void>;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'memory-pool-'));
  idle = room = true;
  copy = (template, file) => writeFile(file, `memory of ${template.key}`);
  pool = new MemoryPool({
    directory: path.join(root, 'pool'),
    size: 1,
    isIdle: () => idle,
    hasRoom: async () => room,
    copy: (template, file, signal) => copy(template, file, signal),
    log: pino({ level: 'silent' }),
  });
});
afterEach(async () => {
  await pool.close();
  await rm(root, { recursive: true });
});

const target = (): string => path.join(root, 'ram');
const kept = (): Promise<string[]> => readdir(path.join(root, 'pool'));
const soon = { timeout: 3_000 };

test('a copy is made in idle time, claimed once, and made anew', async () => {
  await pool.open(newer);
  await expect.poll(() => pool.heldMiB, soon).toBe(1);
  expect(await pool.claim('newer', target())).toBe(true);
  expect(await readFile(target(), 'utf8')).toBe('memory of newer');
  expect(await pool.claim('newer', target())).toBe(false);
  await expect.poll(kept, soon).toHaveLength(1);
});

test('a copy is for its own template alone', async () => {
  await pool.open(newer);
  await expect.poll(() => pool.heldMiB, soon).toBe(1);
  expect(await pool.claim('older', target())).toBe(false);
  expect(await readdir(root)).toEqual(['pool']);
});

test('only the newest template is kept ready', async () => {
  await pool.open(older);
  await expect.poll(() => pool.heldMiB, soon).toBe(1);
  pool.keep(newer);
  await expect.poll(async () => (await kept()).map((name) => name.split('.')[0]), soon).toEqual(['newer']);
  pool.keep(older);
  await delay(600);
  expect(await pool.claim('newer', target())).toBe(true);
});

test('nothing is copied while the host is busy', async () => {
  idle = false;
  await pool.open(newer);
  await delay(700);
  expect(await kept()).toEqual([]);
  idle = true;
  await expect.poll(kept, soon).toHaveLength(1);
});

test('a copy under way is given up when a machine is started, and begun anew', async () => {
  let begun = 0;
  copy = async (template, file, signal) => {
    begun += 1;
    await writeFile(file, 'a part');
    if (begun === 1) await delay(10_000, undefined, { signal });
    await writeFile(file, `memory of ${template.key}`);
  };
  await pool.open(newer);
  await expect.poll(() => begun, soon).toBe(1);
  expect(await pool.claim('newer', target())).toBe(false);
  await expect.poll(() => pool.heldMiB, soon).toBe(1);
  expect(await pool.claim('newer', target())).toBe(true);
  expect(await readFile(target(), 'utf8')).toBe('memory of newer');
});

test('when memory is short the copies go, and none is made for a while', async () => {
  await pool.open(newer);
  await expect.poll(() => pool.heldMiB, soon).toBe(1);
  expect(await pool.giveUp()).toBe(true);
  expect(pool.heldMiB).toBe(0);
  await delay(700);
  expect(await kept()).toEqual([]);
  expect(await pool.giveUp()).toBe(false);
});

test('a copy that is still being made is given up, too, and its room is there when that is answered', async () => {
  copy = async (_, file) => {
    await writeFile(file, 'half of it');
    await delay(400);
  };
  await pool.open(newer);
  await expect.poll(kept, soon).not.toEqual([]);
  expect(await pool.giveUp()).toBe(true);
  expect(await kept()).toEqual([]);
});

test('without room for more machines nothing is copied', async () => {
  room = false;
  await pool.open(newer);
  await delay(700);
  expect(await kept()).toEqual([]);
});

test('what an earlier process left is removed', async () => {
  await pool.open(undefined);
  await writeFile(path.join(root, 'pool', 'newer.0123'), 'half of it');
  await pool.open(undefined);
  expect(await kept()).toEqual([]);
});
