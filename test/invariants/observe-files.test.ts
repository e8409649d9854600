import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeManifest, type Manifest } from '../../src/host/manifest.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { observeFiles } from '../../src/invariants/observe-files.js';

let paths: StatePaths;
beforeEach(async () => {
  paths = new StatePaths(await mkdtemp(path.join(tmpdir(), 'observe-')));
  for (const directory of [paths.sandboxes, paths.memory, paths.overlayPool]) await mkdir(directory);
});
afterEach(() => rm(paths.root, { recursive: true }));

const manifestsKey = Buffer.alloc(32, 'k');
const observe = (digests: boolean) => observeFiles({ stateDir: paths.root, manifestsKey, digests });

async function sandbox(id: string, manifest: string): Promise<void> {
  await mkdir(paths.sandbox(id).directory);
  await writeFile(paths.sandbox(id).manifest, manifest);
}

/** With the manifest that the service would write. */
async function signed(id: string, facts: object, key = manifestsKey): Promise<void> {
  await mkdir(paths.sandbox(id).directory);
  const rest = { generation: 4, phase: { name: 'saved' }, slot: null, allowInternetAccess: true };
  await writeManifest(paths, { schema: 1, id, ...rest, ...facts } as Manifest, key);
}

test('manifests are read with images of both kinds', async () => {
  await signed('memory', { image: { generation: 4, digest: 'd', bytes: 1, savedAt: 1 } });
  await signed('disk', { image: { kind: 'disk', generation: 4, savedAt: 1 } });
  const { sandboxes } = await observe(true);
  expect(sandboxes.map(({ id, manifest, damage }) => [id, manifest?.image?.generation, damage])).toEqual([
    ['disk', 4, undefined],
    ['memory', 4, undefined],
  ]);
});

test('a manifest that is cut off, changed, unsigned, or of another key says nothing but that; none at all is no damage', async () => {
  await sandbox('cut', '{"generation":4,');
  await signed('changed', {});
  const file = paths.sandbox('changed').manifest;
  await writeFile(file, (await readFile(file, 'utf8')).replace('"saved"', '"lost"'));
  const plain = { schema: 1, id: 'unsigned', generation: 4, phase: { name: 'saved' }, slot: null };
  await sandbox('unsigned', JSON.stringify({ ...plain, allowInternetAccess: true }));
  await signed('foreign', {}, Buffer.alloc(32, 'another'));
  await mkdir(paths.sandbox('none').directory);
  const { sandboxes } = await observe(false);
  expect(sandboxes.map(({ manifest }) => manifest)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  expect(sandboxes.map(({ id, damage }) => [id, damage])).toEqual([
    ['changed', expect.stringMatching(/not as this service wrote it/)],
    ['cut', expect.stringMatching(/not a manifest/)],
    ['foreign', expect.stringMatching(/another master key/)],
    ['none', undefined],
    ['unsigned', expect.stringMatching(/no authentication code/)],
  ]);
});

test('the files that the next pause builds on are read from the manifest; null is none', async () => {
  await signed('some', { basis: { generation: 4, digest: 'd', files: [4, 2] } });
  await signed('none', { basis: null });
  const { sandboxes } = await observe(false);
  expect(sandboxes.map(({ manifest }) => manifest?.basis?.files)).toEqual([undefined, [4, 2]]);
});

test('a machine that still writes its metrics and its disk does not make its directory younger', async () => {
  await sandbox('abc', '{}');
  const old = new Date(Date.now() - 3_600_000);
  const before = (await observe(false)).sandboxes[0]!.changedAt;
  await writeFile(paths.sandbox('abc').metrics, '');
  await writeFile(paths.sandbox('abc').overlay, '');
  await utimes(paths.sandbox('abc').directory, old, old);
  const created = (await observe(false)).sandboxes[0]!.changedAt;
  await new Promise((resolve) => setTimeout(resolve, 30));
  await writeFile(paths.sandbox('abc').metrics, 'more');
  await writeFile(paths.sandbox('abc').overlay, 'more');
  expect((await observe(false)).sandboxes[0]!.changedAt).toBe(created);
  expect(created).toBeGreaterThanOrEqual(before);
});

test('memory is seen with its device state; names that are no sandbox are set apart', async () => {
  const { memoryDirectory, deviceStateDirectory, deviceState } = paths.sandbox('abc');
  for (const directory of [memoryDirectory, deviceStateDirectory, path.join(paths.memory, 'template-x')])
    await mkdir(directory);
  await writeFile(path.join(memoryDirectory, 'ram'), '');
  await writeFile(deviceState, 'LibvirtQemudSave and so on');
  const { memory, misplaced } = await observe(false);
  expect(memory).toMatchObject([{ id: 'abc', files: ['ram', 'state/device'], completeSave: true }]);
  expect(misplaced).toMatchObject([{ name: 'template-x', where: 'memory' }]);
});

test('an image that goes between the look at its directory and that at itself has no digest', async () => {
  await sandbox('abc', '{}');
  await symlink('gone', paths.sandbox('abc').image(2));
  await writeFile(paths.sandbox('abc').image(4), 'is there');
  const [found] = (await observe(true)).sandboxes;
  expect(Object.keys(found!.digests!)).toEqual(['image-4.sealed']);
});
