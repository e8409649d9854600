import { beforeEach, describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/host/manifest.js';
import { TenantShares } from '../../src/host/tenant-shares.js';
import { isBusy, sharesOf } from '../../src/host/tenant-shares-plan.js';
import { createLogger } from '../../src/log.js';

const guest = (id: string, tenant: string, isBusy = true) => ({ id, tenant, isBusy });

test('busy guests of one tenant weigh together as much as the one of another', () => {
  const shares = sharesOf([guest('a1', 'a'), guest('a2', 'a'), guest('a3', 'a'), guest('a4', 'a'), guest('b', 'b')]);
  expect(['a1', 'a2', 'a3', 'a4'].reduce((sum, id) => sum + shares.get(id)!, 0)).toBe(shares.get('b'));
});

test('one busy guest beside idle ones of its tenant has all of its tenant’s weight', () => {
  const shares = sharesOf([guest('busy', 'a'), guest('idle', 'a', false), guest('too', 'a', false)]);
  expect(shares.get('busy')).toBe(1);
});

describe('a guest works', () => {
  const used = (cpuSeconds: number, requests?: number, bytes = 0) => ({
    ...{ at: 5000, cpuSeconds },
    ...(requests === undefined ? {} : { disk: { requests, bytes } }),
  });
  const before = { at: 0, cpuSeconds: 0, disk: { bytes: 0, requests: 0 } };
  const MIB = 1024 * 1024;

  test.each([
    ['on a processor', used(2)],
    ['on its disk, in large pieces', used(0.1, 10, 100 * MIB)],
    ['on its disk, with small writes that it waits for', used(0.1, 1000, MIB)],
  ])('%s', (_how, now) => expect(isBusy(before, now)).toBe(true));

  test.each([
    ['that is idle', used(0.3, 15, MIB)],
    ['whose disk nobody knows', used(0.3)],
  ])('unlike one %s', (_how, now) => expect(isBusy(before, now)).toBe(false));

  test('only after a second look', () => expect(isBusy(undefined, used(2, 1000))).toBe(false));
});

let seconds: Record<string, number>;
let requests: Record<string, number>;
let given: unknown[][];
let answer: () => Promise<string[]>;
let at: number;
let manifests: Manifest[];
let shares: TenantShares;
const running = (id: string, tenant: string, generation = 1): Manifest =>
  ({ id, generation, phase: { name: 'running' }, view: { spec: { tenant } } }) as Manifest;
beforeEach(() => {
  [seconds, requests, given, at] = [{}, {}, [], 0];
  answer = () => Promise.resolve([]);
  manifests = [running('a1', 'a'), running('a2', 'a'), running('b', 'b')];
  shares = new TenantShares({
    driver: {
      cpuSeconds: (name) => Promise.resolve(seconds[name] ?? 0),
      diskUses: () =>
        Promise.resolve(
          new Map(Object.entries(requests).map(([name, count]) => [name, { requests: count, bytes: 0 }])),
        ),
      setShare: (...args) => {
        given.push(args);
        return answer();
      },
    },
    index: { all: () => manifests, get: (id) => manifests.find((one) => one.id === id) },
    ...{ domainPrefix: 'd-', diskRate: 1000, log: createLogger('test', 'silent'), now: () => at },
  });
});

/** So much CPU time does each use until the next look. */
async function work(used: Record<string, number>): Promise<void> {
  for (const [name, more] of Object.entries(used)) seconds[name] = (seconds[name] ?? 0) + more;
  at += 1000;
  await shares.look();
}

test('what a machine is born with is not set again; what changes is, once, and back', async () => {
  await work({});
  await work({ 'd-a1': 1, 'd-b': 1 });
  expect(given).toEqual([]);
  await work({ 'd-a1': 1, 'd-a2': 1, 'd-b': 1 });
  await work({ 'd-a1': 1, 'd-a2': 1, 'd-b': 1 });
  expect(given).toEqual([
    ['d-a1', 0.5, 500],
    ['d-a2', 0.5, 500],
  ]);
  given = [];
  await work({ 'd-a1': 1 });
  expect(given).toEqual([
    ['d-a1', 1, 1000],
    ['d-a2', 1, 1000],
  ]);
});

test('the next machine of a sandbox gets the share that it is to have', async () => {
  await work({});
  await work({ 'd-a1': 1, 'd-a2': 1 });
  given = [];
  manifests[1] = running('a2', 'a', 2);
  await work({ 'd-a1': 1, 'd-a2': 1 });
  expect(given).toEqual([['d-a2', 0.5, 500]]);
});

test('a machine that ends meanwhile keeps no other from its share', async () => {
  answer = () => Promise.reject(new Error('Domain not found'));
  await work({});
  await work({ 'd-a1': 1, 'd-a2': 1 });
  expect(given).toHaveLength(2);
});

test('guests that wait for their disks divide their tenant’s share, as guests that compute do', async () => {
  requests = { 'd-a1': 0, 'd-a2': 0, 'd-b': 0 };
  await work({});
  requests = { 'd-a1': 500, 'd-a2': 500, 'd-b': 500 };
  await work({ 'd-a1': 0.05, 'd-a2': 0.05, 'd-b': 0.05 });
  expect(given).toEqual([
    ['d-a1', 0.5, 500],
    ['d-a2', 0.5, 500],
  ]);
});

test('a share that could not be set is tried again at the next look, and then more seldom', async () => {
  const busy = { 'd-a1': 1, 'd-a2': 1 };
  answer = () => Promise.reject(new Error('cannot acquire state change lock'));
  await work({});
  await work(busy);
  await work(busy);
  const failed = given.length;
  expect(failed).toBe(4);
  await work(busy);
  expect(given).toHaveLength(failed);
  answer = () => Promise.resolve([]);
  at += 3_600_000;
  await work({ 'd-a1': 3600, 'd-a2': 3600 });
  expect(given.slice(failed)).toEqual([
    ['d-a1', 0.5, 500],
    ['d-a2', 0.5, 500],
  ]);
});

test('a machine that is being paused by then is not asked, and holds up nobody', async () => {
  const own = manifests;
  answer = () => {
    manifests = own.map((one) => (one.id === 'a2' ? ({ ...one, phase: { name: 'saving' } } as Manifest) : one));
    return Promise.resolve([]);
  };
  await work({});
  await work({ 'd-a1': 1, 'd-a2': 1 });
  expect(given).toEqual([['d-a1', 0.5, 500]]);
});

test('guests that boot share their tenant’s weight from the first look on', async () => {
  for (const manifest of manifests.slice(0, 2)) manifest.phase = { name: 'booting' };
  await shares.look();
  expect(given).toEqual([
    ['d-a1', 0.5, 500],
    ['d-a2', 0.5, 500],
  ]);
});
