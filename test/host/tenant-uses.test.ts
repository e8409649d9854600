import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Manifest, Phase } from '../../src/host/manifest.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { TenantUses } from '../../src/host/tenant-uses.js';

const MIB = 1024 * 1024;

let paths: StatePaths;
let manifests: Map<string, Manifest>;
let uses: TenantUses;
beforeEach(async () => {
  paths = new StatePaths(await mkdtemp(path.join(tmpdir(), 'uses-')));
  manifests = new Map();
  uses = new TenantUses({ paths, all: () => [...manifests.values()], get: (id) => manifests.get(id) });
});
afterEach(() => rm(paths.root, { recursive: true }));

function add(id: string, phase: Phase['name'], change: object = {}, spec: object = {}): void {
  const sizes = { cpuCount: 2, memoryMiB: 512, diskMiB: 4096 };
  manifests.set(id, {
    ...{ id, generation: 3, phase: { name: phase }, ...change },
    view: { spec: { id, tenant: 'a', onTimeout: 'kill', ...sizes, ...spec } },
  } as unknown as Manifest);
}

async function image(id: string, generation: number, bytes: number): Promise<number> {
  await mkdir(paths.sandbox(id).directory, { recursive: true });
  const file = paths.sandbox(id).image(generation);
  await writeFile(file, Buffer.alloc(bytes, 1));
  return (await stat(file)).blocks * 512;
}

test.each(['creating', 'running', 'saving', 'stopping', 'restoring', 'booting'] as const)(
  'one that is %s has a machine, or is on its way',
  (phase) => {
    add('i1', phase, {}, { onTimeout: 'pause' });
    const one = { id: 'i1', cpus: 2, memoryMiB: 512, diskMiB: 4096, fallsAsleep: true };
    expect(uses.of('a')).toEqual({ awake: [one], asleep: { count: 0, diskMiB: 0, bytes: 0 } });
  },
);

test('another tenant’s, machines of the warm pool, and what is lost count for nobody', () => {
  add('i1', 'running', {}, { tenant: 'b' });
  add('i2', 'running', {}, { warm: true });
  add('i3', 'lost');
  expect(uses.of('a')).toEqual({ awake: [], asleep: { count: 0, diskMiB: 0, bytes: 0 } });
});

test('one that sleeps counts with all the files that its image is made of, at first with the newest', async () => {
  const files = { image: { generation: 3, bytes: MIB }, basis: { generation: 3, files: [2, 3] } };
  add('i1', 'saved', files);
  const bytes = (await image('i1', 2, 3 * MIB)) + (await image('i1', 3, MIB));
  expect(uses.of('a').asleep).toEqual({ count: 1, diskMiB: 4096, bytes: MIB });
  await expect.poll(() => uses.of('a').asleep.bytes).toBe(bytes);
  add('i1', 'saved', { ...files, generation: 5, image: { generation: 5, bytes: MIB }, basis: null });
  const next = await image('i1', 5, 2 * MIB);
  await expect.poll(() => uses.of('a').asleep.bytes).toBe(next);
});

test('of those that are named it says what each counts for while it sleeps, and of no other tenant’s', () => {
  const files = { image: { generation: 3, bytes: MIB } };
  add('i1', 'saved', files);
  add('i2', 'saved', files);
  add('i3', 'running');
  add('i4', 'saved', files, { tenant: 'b' });
  expect(uses.of('a', ['i1', 'i3', 'i4', 'i5']).asleep).toMatchObject({ bytes: 2 * MIB, bytesOf: { i1: MIB } });
  expect(uses.of('a', ['i1', 'i3', 'i4', 'i5']).asleep.bytesOf).toEqual({ i1: MIB });
});

test('one that keeps its disk alone has no image', () => {
  add('i1', 'saved', { image: { kind: 'disk', generation: 3 } });
  expect(uses.of('a').asleep).toEqual({ count: 1, diskMiB: 4096, bytes: 0 });
});
