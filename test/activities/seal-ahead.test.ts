import { randomBytes } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CrashPoint } from '../../activities/crash-points.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { publishView } from '../../activities/publish-view.js';
import { resumeVm } from '../../activities/resume-vm.js';
import { SealAhead } from '../../activities/seal-ahead.js';
import { createSealPool, type SealPool } from '../../src/sealing/worker-pool.js';
import type { MemoryImage, SandboxView } from '../../workflows/view.js';
import { HostScene } from './host-scene.js';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

let scene: HostScene;
let pool: SealPool;
/** Called before each task of the threads. */
let beforeTask: () => Promise<void> | void = () => undefined;
let ahead: SealAhead;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.runningWithMemory();
  pool = createSealPool({ workers: 1 });
  beforeTask = () => undefined;
  const { index } = scene.context;
  await index.change(scene.id, { view: view('running', 1) });
  begin();
});
afterEach(async () => {
  await ahead.stop();
  await pool.close();
  await scene.stop();
});

function begin(): void {
  const slow: SealPool = { ...pool, run: async (task) => (await beforeTask(), pool.run(task)) };
  ahead = new SealAhead(scene.context, { leadMs: 30_000, pool: slow, now: () => ENDS_AT - 1 });
}

const ENDS_AT = 1_000_000;
/** A sandbox that its timeout pauses in a millisecond. */
const view = (status: 'running' | 'paused', generation: number): SandboxView => ({
  ...{ ...scene.view(status, generation), endAt: ENDS_AT, timeoutMs: 2 },
  spec: { ...scene.spec, onTimeout: 'pause' },
});
async function pause(generation: number): Promise<MemoryImage> {
  const paused = await pauseVm(scene.context, { id: scene.id, generation, view: view('paused', generation) }, never);
  if (paused.outcome !== 'paused' || paused.image.kind === 'disk') throw new Error('it was not paused');
  return paused.image;
}
const resume = (generation: number, image: MemoryImage) =>
  resumeVm(scene.context, { spec: scene.spec, generation, image, view: view('running', generation) }, never);

/** So long it takes until that a sandbox is in use is seen. */
const noticed = (): Promise<void> => delay(150);
const sizeOf = async (name: string): Promise<number> => (await stat(path.join(scene.sandbox.directory, name))).size;

test('a pause after it stores what has changed since, and the sandbox wakes as it was', async () => {
  await ahead.tend();
  expect(scene.manifest).toMatchObject({
    generation: 1,
    phase: { name: 'running' },
    basis: { generation: 1, files: [1] },
  });
  expect(await scene.images()).toEqual(['image-1.sealed']);
  await scene.write(1000, 'changed since');
  const expected = await readFile(scene.sandbox.memoryFile);
  const image = await pause(2);
  expect(scene.manifest.basis).toMatchObject({ generation: 2, files: [2, 1] });
  await resume(3, image);
  expect((await readFile(scene.sandbox.memoryFile)).equals(expected)).toBe(true);
});

test('memory that changes while it is sealed costs that part, and nothing else', async () => {
  await writeFile(scene.sandbox.memoryFile, randomBytes(4 * MIB));
  let sealing = true;
  const writing = (async (): Promise<void> => {
    for (let tick = 0; sealing; tick++) await scene.write(3 * MIB, `tick ${tick}`);
  })();
  await ahead.tend();
  sealing = false;
  await writing;
  await scene.write(3 * MIB, 'the last one');
  const expected = await readFile(scene.sandbox.memoryFile);
  const image = await pause(2);
  expect(await sizeOf('image-1.sealed')).toBeGreaterThan(3 * MIB);
  expect(await sizeOf('image-2.sealed')).toBeLessThan(MIB / 2);
  await resume(3, image);
  expect((await readFile(scene.sandbox.memoryFile)).equals(expected)).toBe(true);
});

test('nothing can be restored from what it wrote', async () => {
  await ahead.tend();
  const { digest } = scene.manifest.basis!;
  const { size: bytes } = await stat(path.join(scene.sandbox.directory, 'image-1.sealed'));
  const image: MemoryImage = { generation: 1, digest, bytes, savedAt: 1 };
  scene.driver.machines.clear();
  await scene.context.index.change(scene.id, { phase: { name: 'saved' }, image });
  await expect(resume(2, image)).rejects.toMatchObject({ type: 'ImageDamaged', message: /no device state/ });
});

test('it is given up without a trace as soon as the sandbox is in use again', async () => {
  beforeTask = async () => {
    scene.traffic.touch(scene.id);
    await noticed();
  };
  await ahead.tend();
  expect(await scene.images()).toEqual([]);
  expect(scene.manifest.basis).toBeUndefined();
});

test.each<[string, () => Promise<unknown>]>([
  ['a pause', () => pause(2)],
  ['a new deadline', () => publishView(scene.context, { view: view('running', 1) })],
])('%s does not wait until it is done', async (_, come) => {
  let came: Promise<unknown> | undefined;
  beforeTask = () => void (came ??= come());
  await ahead.tend();
  expect(scene.manifest.basis?.generation).not.toBe(1);
  await came;
  expect((await scene.images()).filter((name) => name.startsWith('image-1'))).toEqual([]);
});

test('in a later generation it builds on the pause before, whose files go when nothing refers to them any more', async () => {
  await resume(3, await pause(2));
  await scene.write(1000, 'changed since');
  await ahead.tend();
  expect(scene.manifest.basis).toMatchObject({ generation: 3, files: [3, 2] });
  await pause(4);
  expect(await scene.images()).toEqual(['image-2.sealed', 'image-3.sealed', 'image-4.sealed']);
  await resume(5, scene.manifest.image as MemoryImage);
  await writeFile(scene.sandbox.memoryFile, Buffer.alloc(4 * MIB, 'all of it is new'));
  await ahead.tend();
  expect(scene.manifest.basis).toMatchObject({ generation: 5, files: [5] });
  expect(await scene.images()).toEqual(['image-5.sealed']);
});

test.each<CrashPoint>(['ahead.begun', 'ahead.sealed', 'ahead.recorded', 'ahead.older-images-removed'])(
  'a host worker that ends at %s leaves nothing that a pause cannot go on from',
  async (point) => {
    await resume(3, await pause(2));
    await scene.write(1000, 'changed since');
    scene.failAt(point);
    await ahead.tend();
    scene.reached = () => undefined;
    await scene.restart();
    begin();
    await ahead.tend();
    const expected = await readFile(scene.sandbox.memoryFile);
    const image = await pause(4);
    expect(scene.manifest.basis).toMatchObject({ files: [4, 3, 2] });
    expect(await scene.images()).toEqual(['image-2.sealed', 'image-3.sealed', 'image-4.sealed']);
    await resume(5, image);
    expect((await readFile(scene.sandbox.memoryFile)).equals(expected)).toBe(true);
  },
);

test('of a pause in the same generation that fails after it, nothing is left that has the name of its file', async () => {
  scene.driver.save = async ({ name }, image) => {
    await writeFile(image, 'LibvirtQemudSave and what follows');
    scene.driver.machines.delete(name);
  };
  scene.failAt('pause.sealed');
  await expect(pause(2)).rejects.toMatchObject({ type: 'PauseFailed' });
  scene.reached = () => undefined;
  await ahead.tend();
  expect(scene.manifest.basis).toMatchObject({ generation: 2, files: [2] });
  scene.failAt('pause.sealed');
  await expect(pause(2)).rejects.toMatchObject({ type: 'PauseFailed' });
  expect(await scene.images()).toEqual([]);
  scene.reached = () => undefined;
  const expected = await readFile(scene.sandbox.memoryFile);
  await resume(4, await pause(3));
  expect((await readFile(scene.sandbox.memoryFile)).equals(expected)).toBe(true);
});

test('where the disk has no room beside what is kept for every pause it does nothing', async () => {
  const { reserved } = scene.context;
  reserved.diskMiB = 2 ** 40;
  await ahead.tend();
  expect(await scene.images()).toEqual([]);
  reserved.diskMiB = 0;
  await ahead.tend();
  expect(await scene.images()).toEqual(['image-1.sealed']);
});

test('what fails is not tried again in the same generation', async () => {
  let tried = 0;
  beforeTask = () => {
    tried += 1;
    throw new Error('for a test');
  };
  await ahead.tend();
  await ahead.tend();
  expect(tried).toBe(1);
  expect(await scene.images()).toEqual([]);
  beforeTask = () => undefined;
  await resume(3, await pause(2));
  await ahead.tend();
  expect(scene.manifest.basis).toMatchObject({ generation: 3 });
});
