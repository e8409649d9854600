import { readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Reaper } from '../../activities/reap.js';
import { observeFiles } from '../../src/invariants/observe-files.js';
import type { Observation } from '../../src/invariants/observation.js';
import { toDescribe } from '../../src/temporal/sandbox-runs.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
const NOTHING: Observation = {
  ...{ at: 0, workflows: [], domains: [], processes: [], sandboxes: [], memory: [], pool: [], top: [] },
  ...{ misplaced: [], secrets: [], claims: [], deniedSlots: [] },
};
beforeEach(async () => {
  scene = await HostScene.start();
});
afterEach(() => scene.stop());

test('many repairs of one sweep share their second look', async () => {
  const misplaced = Array.from({ length: 15 }, (_, n) => ({
    name: `left-${n}`,
    where: 'memory' as const,
    changedAt: 0,
  }));
  let looks = 0;
  const reaper = new Reaper(scene.context, 1_000, () => {
    looks += 1;
    return Promise.resolve({ ...NOTHING, at: Date.now(), misplaced });
  });
  expect((await reaper.sweep()).repaired).toHaveLength(15);
  expect(looks).toBe(2);
});

test('of what is listed as open each is asked for itself now and then, of all others always', () => {
  const ids = Array.from({ length: 120 }, (_, n) => `i${String(n).padStart(3, '0')}`);
  const open = new Set(ids.slice(0, 119));
  const asked = Array.from({ length: 60 }, (_, turn) => toDescribe(ids, open, turn));
  for (const one of asked) {
    expect(one).toContain('i119');
    expect(one.length).toBeLessThanOrEqual(3);
  }
  expect(new Set(asked.flat())).toEqual(new Set(ids));
});

test('nothing of a sandbox is touched whose manifest was changed, though its workflow has ended; all of it once that is gone', async () => {
  await scene.running();
  await writeFile(scene.sandbox.image(1), 'an image');
  await writeFile(`${scene.sandbox.image(3)}.00112233445566aa.tmp`, 'left by a crash');
  const good = await readFile(scene.sandbox.manifest, 'utf8');
  await writeFile(scene.sandbox.manifest, good.replace('"tenant":"t"', '"tenant":"u"'));
  await scene.restart();
  const there = await scene.files(scene.sandbox.directory);

  const manifestsKey = scene.context.masterKey.derive('manifests');
  const reaper = new Reaper(scene.context, 1_000, async () => ({
    ...{ ...NOTHING, ...(await observeFiles({ stateDir: scene.stateDir, manifestsKey, digests: false })), top: [] },
    workflows: [{ id: scene.id, run: 'ended' }],
    claims: [...scene.claims].map((slot) => ({ slot, id: scene.id })),
    at: Date.now() + 3_600_000,
  }));
  const { found, repaired } = await reaper.sweep();
  expect(found).toMatchObject([{ invariant: 9, sandbox: scene.id }]);
  expect(repaired).toEqual([]);
  expect(await scene.files(scene.sandbox.directory)).toEqual(there);
  expect(scene.driver.machines.get(scene.machine)).toBe('running');
  expect(scene.claims.size).toBe(1);

  await rm(scene.sandbox.manifest);
  expect((await reaper.sweep()).repaired).toMatchObject([{ invariant: 4, repair: { kind: 'destroy' } }]);
  await expect(scene.files(scene.sandbox.directory)).rejects.toThrow(/ENOENT/);
  expect(scene.claims.size).toBe(0);
});
