import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limitsChange } from '../../src/tenants/limits.js';
import { FileTenantStore } from '../../src/tenants/tenant-store.js';
import { NO_LIMITS } from './limits.js';

const DEFAULTS = { ...NO_LIMITS, runningSandboxes: 10, cpus: 20 };

let directory: string;
let file: string;
const stores: FileTenantStore[] = [];
const errors: unknown[] = [];
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'tenants-'));
  file = path.join(directory, 'tenants.json');
  errors.length = 0;
});
afterEach(async () => {
  for (const store of stores.splice(0)) store.close();
  await rm(directory, { recursive: true });
});

async function open(): Promise<FileTenantStore> {
  const store = await FileTenantStore.open(file, DEFAULTS, (error) => errors.push(error), 20);
  stores.push(store);
  return store;
}

test('a tenant has the configured limits but for those of its own, also after a restart', async () => {
  const store = await open();
  expect(store.limitsOf('a')).toEqual(DEFAULTS);
  await store.change('a', { runningSandboxes: 2, cpus: null });
  expect(store.limitsOf('a')).toEqual({ ...DEFAULTS, runningSandboxes: 2, cpus: null });
  expect(store.limitsOf('b')).toEqual(DEFAULTS);
  expect((await open()).limitsOf('a')).toEqual({ ...DEFAULTS, runningSandboxes: 2, cpus: null });
});

test('"default" goes back to the configuration, and a tenant without limits of its own is not listed', async () => {
  const store = await open();
  await store.change('a', { runningSandboxes: 2 });
  expect(store.withOwnLimits()).toEqual(['a']);
  await store.change('a', { runningSandboxes: 'default' });
  expect([store.withOwnLimits(), store.limitsOf('a')]).toEqual([[], DEFAULTS]);
});

test('a change by another process counts without a restart', async () => {
  const [one, other] = [await open(), await open()];
  await one.change('a', { runningSandboxes: 2 });
  await expect.poll(() => other.limitsOf('a').runningSandboxes).toBe(2);
});

test('of many changes at once none is lost', async () => {
  const [one, other] = [await open(), await open()];
  const names = Array.from({ length: 12 }, (_, n) => `t${n}`);
  await Promise.all(names.map((name, n) => (n % 2 === 0 ? one : other).change(name, { cpus: n })));
  expect((await open()).withOwnLimits()).toEqual([...names].sort());
});

test('the file is its owner’s alone', async () => {
  await (await open()).change('a', { cpus: 1 });
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ tenants: [{ tenant: 'a', limits: { cpus: 1 } }] });
});

test('a damaged file stops the start; later it leaves the limits as they were, and is told once', async () => {
  const store = await open();
  await store.change('a', { cpus: 1 });
  await writeFile(file, '{"tenants": [{"tenant": "a", "limits": {"cpus": "many"}}]}');
  await expect(open()).rejects.toThrow(/is damaged/);
  await expect.poll(() => errors.length).toBe(1);
  expect(store.limitsOf('a').cpus).toBe(1);
  await writeFile(file, '{"tenants": []}');
  await expect.poll(() => store.limitsOf('a').cpus).toBe(20);
});

test('no limit can be set that is not one', () => {
  for (const wrong of [
    { cpus: -1 },
    { cpus: 1.5 },
    { cpus: 'many' },
    { cpu: 1 },
    { connections: 0 },
    { requestsPerSecond: 0 },
  ]) {
    expect(limitsChange.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
  }
  expect(limitsChange.parse({ cpus: 0, connections: null, memoryMiB: 'default' })).toEqual({
    ...{ cpus: 0, connections: null, memoryMiB: 'default' },
  });
});
