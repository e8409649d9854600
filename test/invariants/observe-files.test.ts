import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StatePaths } from '../../src/host/state-paths.js';
import { observeFiles } from '../../src/invariants/observe-files.js';

let paths: StatePaths;
beforeEach(async () => {
  paths = new StatePaths(await mkdtemp(path.join(tmpdir(), 'observe-')));
  for (const directory of [paths.sandboxes, paths.memory, paths.overlayPool]) await mkdir(directory);
});
afterEach(() => rm(paths.root, { recursive: true }));

async function sandbox(id: string, manifest: string): Promise<void> {
  await mkdir(paths.sandbox(id).directory);
  await writeFile(paths.sandbox(id).manifest, manifest);
}

test('manifests are read with images of both kinds; one that is cut off counts as none', async () => {
  const rest = { generation: 4, phase: { name: 'saved' }, slot: null, allowInternetAccess: true };
  await sandbox('memory', JSON.stringify({ ...rest, image: { generation: 4, digest: 'd', bytes: 1, savedAt: 1 } }));
  await sandbox('disk', JSON.stringify({ ...rest, image: { kind: 'disk', generation: 4, savedAt: 1 } }));
  await sandbox('cut', '{"generation":4,');
  const { sandboxes } = await observeFiles(paths.root, true);
  expect(sandboxes.map(({ id, manifest }) => [id, manifest?.image?.generation])).toEqual([
    ['cut', undefined],
    ['disk', 4],
    ['memory', 4],
  ]);
});

test('the files that the next pause builds on are read from the manifest; null is none', async () => {
  const rest = { generation: 4, phase: { name: 'running' }, slot: 1, allowInternetAccess: true };
  await sandbox('some', JSON.stringify({ ...rest, basis: { generation: 4, digest: 'd', files: [4, 2] } }));
  await sandbox('none', JSON.stringify({ ...rest, basis: null }));
  const { sandboxes } = await observeFiles(paths.root, false);
  expect(sandboxes.map(({ manifest }) => manifest?.basis?.files)).toEqual([undefined, [4, 2]]);
});

test('a machine that still writes its metrics and its disk does not make its directory younger', async () => {
  await sandbox('abc', '{}');
  const old = new Date(Date.now() - 3_600_000);
  const before = (await observeFiles(paths.root, false)).sandboxes[0]!.changedAt;
  await writeFile(paths.sandbox('abc').metrics, '');
  await writeFile(paths.sandbox('abc').overlay, '');
  await utimes(paths.sandbox('abc').directory, old, old);
  const created = (await observeFiles(paths.root, false)).sandboxes[0]!.changedAt;
  await new Promise((resolve) => setTimeout(resolve, 30));
  await writeFile(paths.sandbox('abc').metrics, 'more');
  await writeFile(paths.sandbox('abc').overlay, 'more');
  expect((await observeFiles(paths.root, false)).sandboxes[0]!.changedAt).toBe(created);
  expect(created).toBeGreaterThanOrEqual(before);
});

test('memory is seen with its device state; names that are no sandbox are set apart', async () => {
  const { memoryDirectory, deviceStateDirectory, deviceState } = paths.sandbox('abc');
  for (const directory of [memoryDirectory, deviceStateDirectory, path.join(paths.memory, 'template-x')])
    await mkdir(directory);
  await writeFile(path.join(memoryDirectory, 'ram'), '');
  await writeFile(deviceState, 'LibvirtQemudSave and so on');
  const { memory, misplaced } = await observeFiles(paths.root, false);
  expect(memory).toMatchObject([{ id: 'abc', files: ['ram', 'state/device'], completeSave: true }]);
  expect(misplaced).toMatchObject([{ name: 'template-x', where: 'memory' }]);
});

test('an image that goes between the look at its directory and that at itself has no digest', async () => {
  await sandbox('abc', '{}');
  await symlink('gone', paths.sandbox('abc').image(2));
  await writeFile(paths.sandbox('abc').image(4), 'is there');
  const [found] = (await observeFiles(paths.root, true)).sandboxes;
  expect(Object.keys(found!.digests!)).toEqual(['image-4.sealed']);
});
