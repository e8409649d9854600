import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OperatorKey } from '../../src/keys/operator-key.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'operator-key-'));
  file = path.join(directory, 'state', 'operator.key');
});
afterEach(() => rm(directory, { recursive: true }));

const inFile = async (): Promise<string> => (await readFile(file, 'utf8')).trim();

test('is made once, for its owner alone, and opens; nothing else does', async () => {
  const made = await Promise.all(Array.from({ length: 5 }, () => OperatorKey.ensure(file)));
  const key = await inFile();
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  for (const one of made) expect(await one.opens(key)).toBe(true);
  for (const wrong of ['', key.slice(0, -1), `${key} `, key.toUpperCase()])
    expect(await made[0]!.opens(wrong)).toBe(false);
  await OperatorKey.ensure(file);
  expect(await inFile()).toBe(key);
});

test('another key in the file counts from the next request on; without a file nothing opens', async () => {
  const operator = await OperatorKey.ensure(file);
  const old = await inFile();
  const next = `dormouse_operator_${'ab'.repeat(32)}`;
  await writeFile(file, `${next}\n`);
  expect([await operator.opens(old), await operator.opens(next)]).toEqual([false, true]);
  await rm(file);
  expect([await operator.opens(next), await operator.opens('')]).toEqual([false, false]);
});

test('is refused where others can read it, or where it is no key', async () => {
  const operator = await OperatorKey.ensure(file);
  const key = await inFile();
  await chmod(file, 0o640);
  await expect(operator.opens(key)).rejects.toThrow(/group or others/);
  await expect(OperatorKey.ensure(file)).rejects.toThrow(/group or others/);
  await chmod(file, 0o600);
  await writeFile(file, '\n');
  await expect(operator.opens('')).rejects.toThrow(/holds no operator key/);
});
