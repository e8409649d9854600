import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DiskHold } from '../../src/host/disk-hold.js';
import { disksToHold, type GrowingDisk } from '../../src/host/disk-hold-plan.js';
import type { Manifest } from '../../src/host/manifest.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { createLogger } from '../../src/log.js';

const MIB = 1024 * 1024;
/** Of the disk, kept for the service. */
const RESERVE = 100;

let root: string;
let paths: StatePaths;
let manifests: Map<string, Manifest>;
let suspended: string[];
let told: string[];
let freeMiB: number;
let hold: DiskHold;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'disk-hold-'));
  paths = new StatePaths(root);
  manifests = new Map();
  suspended = [];
  told = [];
  freeMiB = 10_000;
  hold = new DiskHold({
    driver: {
      suspend: (name) => {
        suspended.push(name);
        return Promise.resolve();
      },
    },
    index: { all: () => [...manifests.values()], get: (id) => manifests.get(id), paths },
    ...{ limits: { diskMiB: RESERVE, diskOvercommit: 4 }, domainPrefix: 'd-', log: createLogger('test', 'silent') },
    onHeld: ({ id }) => told.push(id),
    freeMiB: () => Promise.resolve(freeMiB),
  });
});
afterEach(() => rm(root, { recursive: true }));

/** Its pause may write 10 MiB, its share of the disk is 10 MiB. */
async function sandbox(id: string, usedMiB: number, name: 'running' | 'saved' = 'running'): Promise<void> {
  await mkdir(paths.sandbox(id).directory, { recursive: true });
  await writeFile(paths.sandbox(id).overlay, Buffer.alloc(usedMiB * MIB, 1));
  manifests.set(id, { id, memoryMiB: 10, phase: { name }, view: { spec: { diskMiB: 40 } } } as Manifest);
}

test('while there is room every guest may grow to its whole disk', async () => {
  await sandbox('a', 1);
  await hold.look();
  await sandbox('a', 40);
  await hold.look();
  expect(suspended).toEqual([]);
});

test('once the reserve is reached the guest that grows is held, and no other; there is room: it goes on', async () => {
  await sandbox('grows', 1);
  await sandbox('quiet', 8);
  freeMiB = RESERVE + 20 - 1;
  await hold.look();
  expect(suspended).toEqual([]);
  await sandbox('grows', 4);
  await hold.look();
  expect(suspended).toEqual(['d-grows']);
  await expect.poll(() => told).toEqual(['grows']);
  expect([hold.isHeld('grows'), hold.isHeld('quiet')]).toEqual([true, false]);
  freeMiB = 10_000;
  await hold.look();
  expect(hold.isHeld('grows')).toBe(false);
});

test('what somebody lets run meanwhile, and grows on, is held again, and its owner told once', async () => {
  await sandbox('a', 1);
  freeMiB = 50;
  await hold.look();
  await sandbox('a', 4);
  await hold.look();
  await expect.poll(() => told).toEqual(['a']);
  await hold.look();
  expect(suspended).toEqual(['d-a']);
  await sandbox('a', 8);
  await hold.look();
  expect(suspended).toEqual(['d-a', 'd-a']);
  expect(told).toEqual(['a']);
});

test('while room is short only those are held that grow beyond their share', async () => {
  await sandbox('beyond', 12);
  await sandbox('within', 2);
  // Two images of 10 and 8 of a share are promised: less than the reserve is left to offer, which itself is whole.
  freeMiB = 2 * RESERVE + 20 + 8 - 1;
  await hold.look();
  await sandbox('beyond', 20);
  await sandbox('within', 9);
  freeMiB -= 15;
  await hold.look();
  expect(suspended).toEqual(['d-beyond']);
});

test('one that is paused or killed is not held any more, and one that sleeps never is', async () => {
  await sandbox('a', 1);
  await sandbox('asleep', 1, 'saved');
  freeMiB = 50;
  await hold.look();
  await sandbox('a', 4);
  await sandbox('asleep', 40, 'saved');
  await hold.look();
  expect(suspended).toEqual(['d-a']);
  await sandbox('a', 4, 'saved');
  await hold.look();
  expect(hold.isHeld('a')).toBe(false);
});

test('guests that hardly grow cannot use up the reserve together: each is let pass as little as its end is near', () => {
  const disks: GrowingDisk[] = Array.from({ length: 400 }, (_, id) => ({
    ...{ id: String(id), usedMiB: 0, shareMiB: 1000, sinceShort: 0, sinceReached: 0 },
  }));
  let leftMiB = 2000;
  for (let round = 0; round < 4000; round++) {
    const held = new Set(disksToHold({ reserveMiB: 2048, leftMiB, offeredMiB: -1000 }, disks));
    for (const disk of disks) {
      if (held.has(disk.id)) continue;
      disk.usedMiB += 0.25;
      leftMiB -= 0.25;
    }
  }
  expect(leftMiB).toBeGreaterThan(1000);
  expect(disks.every(({ usedMiB }) => usedMiB > 0)).toBe(true);
});
