import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ApiKeys, ensureFirstKey, isKnownKey, listKeys, mintKey, revokeKey } from '../../src/api/api-keys.js';

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

test('a key minted or removed while the service runs counts from the next request on', async () => {
  const keys = new ApiKeys(file);
  expect(await keys.tenantOf('x')).toBeUndefined();
  const key = await mintKey(file, 'late');
  expect(await keys.tenantOf(key)).toBe('late');
  await rm(file);
  expect(await keys.tenantOf(key)).toBeUndefined();
});

test('a key is listed with its label, never itself, and revoked by its id or by itself; the others go on', async () => {
  const [a, b, c] = [await mintKey(file, 'a', 'laptop'), await mintKey(file, 'a'), await mintKey(file, 'b', 'ci')];
  const keys = new ApiKeys(file);
  const listed = await listKeys(file);
  expect(listed).toMatchObject([{ tenant: 'a', label: 'laptop' }, { tenant: 'a' }, { tenant: 'b', label: 'ci' }]);
  for (const key of [a, b, c]) expect(JSON.stringify(listed)).not.toContain(key.replace('dormouse_', ''));
  expect(await keys.tenantOf(a)).toBe('a');
  expect(await revokeKey(file, listed[0]!.id)).toMatchObject({ label: 'laptop' });
  expect(await revokeKey(file, c)).toMatchObject({ label: 'ci' });
  expect([await keys.tenantOf(a), await keys.tenantOf(b), await keys.tenantOf(c)]).toEqual([undefined, 'a', undefined]);
  for (const which of [listed[0]!.id, '', 'x', a]) await expect(revokeKey(file, which)).rejects.toThrow(/no API key/);
});

test('of keys that are minted and revoked at the same time none is lost and none comes back', async () => {
  const old = await Promise.all(Array.from({ length: 6 }, () => mintKey(file, 'old')));
  const [made] = await Promise.all([
    Promise.all(Array.from({ length: 6 }, () => mintKey(file, 'new'))),
    ...old.map((key) => revokeKey(file, key)),
  ]);
  expect((await listKeys(file)).map(({ tenant }) => tenant)).toEqual(Array(6).fill('new'));
  for (const key of made) expect(await isKnownKey(file, key)).toBe(true);
});

test('a lock that was left by a process that died is no obstacle for ever', async () => {
  await mintKey(file, 'a');
  await writeFile(`${file}.lock`, '');
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(`${file}.lock`, longAgo, longAgo);
  expect(await isKnownKey(file, await mintKey(file, 'b'))).toBe(true);
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
