import { afterEach, beforeEach, expect, test } from 'vitest';
import { Reaper } from '../../activities/reap.js';
import type { Observation } from '../../src/invariants/observation.js';
import { toDescribe } from '../../src/temporal/sandbox-runs.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
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
  const nothing: Observation = {
    ...{ at: Date.now(), workflows: [], domains: [], processes: [], sandboxes: [], memory: [], pool: [], top: [] },
    ...{ misplaced: [], secrets: [], claims: [], deniedSlots: [] },
  };
  const reaper = new Reaper(scene.context, 1_000, () => {
    looks += 1;
    return Promise.resolve({ ...nothing, misplaced });
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
