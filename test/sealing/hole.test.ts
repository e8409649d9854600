import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isHole } from '../../src/sealing/hole.js';
import { PART_BYTES as PART } from '../../src/sealing/image-table.js';

let directory: string;
let fd: number;
beforeEach(() => {
  // Guests' memory is on tmpfs, too.
  directory = mkdtempSync('/dev/shm/hole-');
  fd = openSync(path.join(directory, 'memory'), 'w+');
});
afterEach(() => {
  closeSync(fd);
  rmSync(directory, { recursive: true });
});

test('a part is a hole until a byte of it is written', () => {
  ftruncateSync(fd, 4 * PART);
  const holes = (): boolean[] => [0, 1, 2, 3].map((part) => isHole(fd, part * PART, PART));
  expect(holes()).toEqual([true, true, true, true]);
  writeSync(fd, Buffer.from([1]), 0, 1, 2 * PART - 1);
  expect(holes()).toEqual([true, false, true, true]);
  writeSync(fd, Buffer.from([0]), 0, 1, 3 * PART);
  expect(holes()).toEqual([true, false, true, false]);
});

test('what a file that became shorter has no more is no hole', () => {
  ftruncateSync(fd, 2 * PART);
  ftruncateSync(fd, PART + 4096);
  expect([0, 1, 2].map((part) => isHole(fd, part * PART, PART))).toEqual([true, false, false]);
});

test('what is not open is no hole', () => {
  expect(isHole(9_999, 0, PART)).toBe(false);
});
