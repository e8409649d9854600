import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { copySparse, findExtents } from '../../src/sealing/sparse-copy.js';
import { noise, PAGE } from './scene.js';

const MIB = 1024 * 1024;
let directory: string;
beforeAll(async () => (directory = await mkdtemp(path.join(tmpdir(), 'dormouse-sparse-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));
const at = (name: string): string => path.join(directory, name);

it('the extents of a file are its pages that are not zero, small holes included', async () => {
  const file = await open(at('holes'), 'w');
  await file.truncate(5 * MIB + 10);
  await file.write(noise('a', PAGE), 0, PAGE, 0);
  await file.write(noise('b', PAGE), 0, PAGE, 3 * PAGE);
  await file.write(noise('c', 2 * PAGE), 0, 2 * PAGE, 2 * MIB - PAGE);
  await file.write(Buffer.of(1), 0, 1, 5 * MIB + 9);
  await file.close();
  expect(await findExtents(at('holes'))).toEqual([
    [0, 4 * PAGE],
    [2 * MIB - PAGE, 2 * PAGE],
    [5 * MIB, 10],
  ]);
});

it('a copy is equal and keeps the holes, with and without extents', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3 * MIB), fc.integer({ min: 1, max: 200_000 })), { maxLength: 12 }),
      fc.nat(5000),
      async (writes, tail) => {
        const content = Buffer.alloc(3 * MIB + tail);
        for (const [offset, length] of writes) noise('w', length).copy(content, offset);
        await writeFile(at('source'), content);
        const extents = await findExtents(at('source'));
        for (const list of [extents, undefined]) {
          await copySparse(at('source'), at('copy'), list);
          expect((await readFile(at('copy'))).equals(content)).toBe(true);
          await rm(at('copy'));
        }
      },
    ),
    { numRuns: 40 },
  );
});

it('a copy takes no more room than its content', async () => {
  const file = await open(at('sparse'), 'w');
  await file.truncate(256 * MIB);
  await file.write(noise('x', MIB), 0, MIB, 100 * MIB);
  await file.close();
  await copySparse(at('sparse'), at('sparse.copy'), await findExtents(at('sparse')));
  const copy = await stat(at('sparse.copy'));
  expect(copy.size).toBe(256 * MIB);
  expect(copy.blocks * 512).toBeLessThan(2 * MIB);
  expect(copy.mode & 0o777).toBe(0o600);
});

it('a copy never replaces a file, and is removed when it is aborted or the extents are wrong', async () => {
  await writeFile(at('s'), noise('s', MIB));
  await writeFile(at('there'), 'x');
  await expect(copySparse(at('s'), at('there'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(await readFile(at('there'), 'utf8')).toBe('x');
  await expect(copySparse(at('s'), at('new'), [[0, 2 * MIB]])).rejects.toThrow(/outside/);
  await expect(copySparse(at('s'), at('new'), undefined, { signal: AbortSignal.abort() })).rejects.toThrow();
  await expect(stat(at('new'))).rejects.toMatchObject({ code: 'ENOENT' });
});
