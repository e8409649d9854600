import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bootVm } from '../../activities/boot-vm.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { resumeVm } from '../../activities/resume-vm.js';
import { shutDownVm } from '../../activities/shut-down-vm.js';
import type { MemoryImage, SavedImage } from '../../workflows/view.js';
import { HostScene } from './host-scene.js';

const never = new AbortController().signal;
const MIB = 1024 * 1024;

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.runningWithMemory();
});
afterEach(() => scene.stop());

const input = (generation: number) => ({ id: scene.id, generation, view: scene.view('paused', generation) });
async function pause(generation: number): Promise<MemoryImage> {
  const paused = await pauseVm(scene.context, input(generation), never);
  if (paused.outcome !== 'paused' || paused.image.kind === 'disk') throw new Error('it was not paused');
  return paused.image;
}
const resume = (generation: number, image: SavedImage) =>
  resumeVm(
    scene.context,
    { spec: scene.spec, generation, image: image as MemoryImage, view: scene.view('running', generation) },
    never,
  );

test('a resume keeps the files of its image for the next pause, which stores only what has changed since', async () => {
  const first = await pause(2);
  await resume(3, first);
  expect(await scene.images()).toEqual(['image-2.sealed']);
  expect(scene.manifest).toMatchObject({ basis: { generation: 2, files: [2] } });
  expect(scene.manifest.image).toBeUndefined();
  await scene.write(1000, 'changed since');
  const expected = await readFile(scene.sandbox.memoryFile);
  const second = await pause(4);
  expect(await scene.images()).toEqual(['image-2.sealed', 'image-4.sealed']);
  expect(scene.manifest.basis).toMatchObject({ generation: 4, files: [4, 2] });
  await resume(5, second);
  expect((await readFile(scene.sandbox.memoryFile)).equals(expected)).toBe(true);
});

test('from files that are kept nothing is ever restored: the image was used', async () => {
  const first = await pause(2);
  await resume(3, first);
  scene.driver.machines.clear();
  await scene.context.index.change(scene.id, { phase: { name: 'saved' } });
  await expect(resume(4, first)).rejects.toMatchObject({ type: 'ImageDamaged' });
});

test('a pause that fails after its image was sealed leaves the files of the one before, and is repeated', async () => {
  scene.driver.save = async ({ name }, image) => {
    await writeFile(image, 'LibvirtQemudSave and what follows');
    scene.driver.machines.delete(name);
  };
  await resume(3, await pause(2));
  scene.failAt('pause.sealed');
  await expect(pause(4)).rejects.toMatchObject({ type: 'PauseFailed' });
  expect(await scene.images()).toEqual(['image-2.sealed']);
  scene.reached = () => undefined;
  await pause(4);
  expect(scene.manifest.basis).toMatchObject({ generation: 4, files: [4, 2] });
});

test('files that the new image does not refer to are removed, also when the first attempt ended before that', async () => {
  await resume(3, await pause(2));
  await writeFile(scene.sandbox.memoryFile, Buffer.alloc(4 * MIB, 'all of it is new'));
  scene.failAt('pause.recorded');
  await expect(pause(4)).rejects.toThrow('pause.recorded');
  expect(await scene.images()).toEqual(['image-2.sealed', 'image-4.sealed']);
  scene.reached = () => undefined;
  await pause(4);
  expect(await scene.images()).toEqual(['image-4.sealed']);
});

test('a pause that keeps the disk alone removes all of them, and the next one builds on nothing', async () => {
  await resume(3, await pause(2));
  await shutDownVm(scene.context, input(4), never);
  expect(await scene.images()).toEqual([]);
  expect(scene.manifest.basis).toBeNull();
});

test('a boot from the disk removes all of them', async () => {
  const image = await pause(2);
  await bootVm(
    scene.context,
    { spec: scene.spec, generation: 3, image, view: scene.view('running', 3) } as never,
    never,
  );
  expect(await scene.images()).toEqual([]);
  expect(scene.manifest.basis).toBeNull();
  await writeFile(scene.sandbox.memoryFile, Buffer.alloc(4 * MIB, 'booted'));
  await pause(4);
  expect(scene.manifest.basis).toMatchObject({ generation: 4, files: [4] });
});

test('an image of a version that recorded no files is kept while it is the one to wake from, and goes with the resume', async () => {
  const image = await pause(2);
  await scene.context.index.change(scene.id, { basis: null });
  await pause(3);
  expect(await scene.images()).toEqual(['image-2.sealed']);
  await resume(4, image);
  expect(await scene.images()).toEqual([]);
});
