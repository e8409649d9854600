import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepBounded } from '../../src/setup/keep-bounded.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'keep-bounded-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a log that has outgrown its bound goes on from nothing, and one earlier part of it is kept', async () => {
  const file = path.join(directory, 'api.log');
  const stop = keepBounded(file, { mostBytes: 100, everyMs: 5 });
  const read = (name: string): Promise<string> => readFile(name, 'utf8').catch(() => '');
  for (const letter of ['a', 'b']) {
    await appendFile(file, letter.repeat(101));
    await expect.poll(() => read(file)).toBe('');
    expect(await read(`${file}.1`)).toBe(letter.repeat(101));
  }
  await appendFile(file, 'short');
  stop();
  expect(await read(file)).toBe('short');
});
