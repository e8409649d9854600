import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  measureRoom,
  missingForImage,
  missingRoom,
  neededRoom,
  neededRoomOf,
  roomToOffer,
} from '../../src/host/admission.js';
import type { Manifest } from '../../src/host/manifest.js';
import { SandboxIndex } from '../../src/host/sandbox-index.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { createLogger } from '../../src/log.js';

let root: string;
beforeEach(async () => (root = await mkdtemp(path.join(tmpdir(), 'admission-'))));
afterEach(() => rm(root, { recursive: true }));

test('every sandbox that is awake counts with its memory, and with the image that it may become', async () => {
  const paths = new StatePaths(root);
  for (const directory of [paths.sandboxes, paths.memory]) await mkdir(directory);
  const index = await SandboxIndex.load(paths, Buffer.alloc(32, 1), createLogger('test', 'error'));
  const reserved = { memoryMiB: 0, diskMiB: 0 };
  const before = await measureRoom(index, reserved);
  const add = async (id: string, phase: Manifest['phase']): Promise<void> => {
    await mkdir(paths.sandbox(id).directory);
    await index.put({
      ...{ schema: 1, id, generation: 1, phase, memoryMiB: 4096, slot: null },
      view: { spec: { diskMiB: 0 } },
    } as Manifest);
  };
  await add('sleeping', { name: 'saved' });
  const asleep = await measureRoom(index, reserved);
  await add('awake', { name: 'running' });
  const awake = await measureRoom(index, reserved);
  expect(Math.abs(asleep.diskMiB - before.diskMiB)).toBeLessThan(1000);
  expect(asleep.diskMiB - awake.diskMiB).toBeGreaterThan(3000);
  const itself = await measureRoom(index, reserved, 'awake');
  expect(Math.abs(itself.diskMiB - asleep.diskMiB)).toBeLessThan(1000);
});

test('the room of a warm machine is offered to whoever asks, and not free for another warm one', async () => {
  const paths = new StatePaths(root);
  for (const directory of [paths.sandboxes, paths.memory]) await mkdir(directory);
  const index = await SandboxIndex.load(paths, Buffer.alloc(32, 1), createLogger('test', 'error'));
  const reserved = { memoryMiB: 0, diskMiB: 0 };
  const before = await measureRoom(index, reserved);
  await mkdir(paths.sandbox('warm').directory);
  await index.put({
    ...{ schema: 1, id: 'warm', generation: 1, phase: { name: 'running' }, memoryMiB: 4096, slot: null },
    view: { spec: { warm: true, diskMiB: 0 } },
  } as Manifest);
  const [measured, offered] = [await measureRoom(index, reserved), await roomToOffer(index, reserved, 0)];
  expect(before.diskMiB - measured.diskMiB).toBeGreaterThan(3000);
  expect(Math.abs(before.diskMiB - offered.diskMiB)).toBeLessThan(1000);
  expect(offered.memoryMiB - measured.memoryMiB).toBeGreaterThan(3000);
  const short = { memoryMiB: 0, diskMiB: 0 };
  const [own, withCopies] = [await measureRoom(index, short), await measureRoom(index, short, undefined, 500)];
  expect(withCopies.memoryMiB).toBeGreaterThanOrEqual(own.memoryMiB);
});

test('a pause is refused before anything is touched when its image may not fit, and says how much is missing', async () => {
  const memory = path.join(root, 'ram');
  await writeFile(memory, Buffer.alloc(4 * 1024 * 1024, 1));
  expect(await missingForImage(root, memory, 0)).toBeUndefined();
  expect(await missingForImage('/proc', memory, 0)).toMatch(/20 MiB needed, 0 MiB free/);
  expect(missingRoom({ memoryMiB: 10_000, diskMiB: 100 }, { memoryMiB: 512, diskMiB: 512 })).toMatch(
    /not enough disk on this host: 512 MiB needed/,
  );
});

test('an image never takes what is reserved for the service', async () => {
  const memory = path.join(root, 'ram');
  await writeFile(memory, Buffer.alloc(4 * 1024 * 1024, 1));
  expect(await missingForImage(root, memory, 1_000_000_000)).toMatch(/20 MiB needed, 0 MiB free/);
});

test('a sandbox that is awake counts with what its disk has not used of its share, and a new one with the whole of it', async () => {
  const paths = new StatePaths(root);
  for (const directory of [paths.sandboxes, paths.memory]) await mkdir(directory);
  const index = await SandboxIndex.load(paths, Buffer.alloc(32, 1), createLogger('test', 'error'));
  const limits = { memoryMiB: 0, diskMiB: 0, diskOvercommit: 4 };
  const before = await measureRoom(index, limits);
  const put = async (id: string, name: 'running' | 'saved'): Promise<void> => {
    await mkdir(paths.sandbox(id).directory, { recursive: true });
    await index.put({
      ...{ schema: 1, id, generation: 1, phase: { name }, memoryMiB: 0, slot: null },
      view: { spec: { diskMiB: 16_384 } },
    } as Manifest);
  };
  await put('a', 'running');
  const awake = await measureRoom(index, limits);
  expect(Math.abs(before.diskMiB - awake.diskMiB - 4096)).toBeLessThan(1000);
  await put('a', 'saved');
  expect(Math.abs((await measureRoom(index, limits)).diskMiB - before.diskMiB)).toBeLessThan(1000);

  const size = { memoryMiB: 512, diskMiB: 40 };
  expect(neededRoom(size, limits)).toEqual({ memoryMiB: 512, diskMiB: 522 });
  await writeFile(paths.sandbox('a').overlay, Buffer.alloc(4 * 1024 * 1024, 1));
  expect(await neededRoomOf(index, 'a', size, limits)).toEqual({ memoryMiB: 512, diskMiB: 518 });
  await writeFile(paths.sandbox('a').overlay, Buffer.alloc(20 * 1024 * 1024, 1));
  expect(await neededRoomOf(index, 'a', size, limits)).toEqual({ memoryMiB: 512, diskMiB: 512 });
});
