import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiKeys, ensureFirstKey, isKnownKey, mintKey } from '../../src/api/api-keys.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'api-keys-'));
  file = path.join(directory, 'state', 'api-keys.json');
});
afterEach(() => rm(directory, { recursive: true }));

test('a minted key opens its tenant and no other key opens anything', async () => {
  const [a, b] = [await mintKey(file, 'a'), await mintKey(file, 'b')];
  const keys = new ApiKeys(file);
  expect([await keys.tenantOf(a), await keys.tenantOf(b)]).toEqual(['a', 'b']);
  for (const wrong of ['', 'x', `${a} `, a.slice(0, -1), a.toUpperCase()]) {
    expect(await keys.tenantOf(wrong)).toBeUndefined();
  }
});

test('the first requests after a start know the key, however many come at once', async () => {
  const key = await mintKey(file, 'a');
  const keys = new ApiKeys(file);
  expect(await Promise.all(Array.from({ length: 20 }, () => keys.tenantOf(key)))).toEqual(Array(20).fill('a'));
});

test('the file holds hashes only and is its owner’s alone', async () => {
  const key = await mintKey(file, 'a');
  const text = await readFile(file, 'utf8');
  expect(text).not.toContain(key);
  expect(text).not.toContain(key.replace('dormouse_', ''));
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test('a key minted or removed while the service runs counts within two seconds', async () => {
  const keys = new ApiKeys(file);
  expect(await keys.tenantOf('x')).toBeUndefined();
  const key = await mintKey(file, 'late');
  await delay(1_100);
  expect(await keys.tenantOf(key)).toBe('late');
  await rm(file);
  await delay(1_100);
  expect(await keys.tenantOf(key)).toBeUndefined();
});

test('the first key is made once', async () => {
  const key = await ensureFirstKey(file);
  expect(await isKnownKey(file, key ?? '')).toBe(true);
  expect(await ensureFirstKey(file)).toBeUndefined();
});

test('a damaged file is reported by name, never taken for empty or overwritten', async () => {
  await mintKey(file, 'a');
  await writeFile(file, '{"keys": "none"}');
  await expect(new ApiKeys(file).tenantOf('x')).rejects.toThrow(file);
  await expect(mintKey(file, 'a')).rejects.toThrow(file);
  expect(await readFile(file, 'utf8')).toBe('{"keys": "none"}');
});
