import { deflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { prose, RUN_BYTES, SeededMemory } from '../../src/bench/guest/seeded-memory.js';

const PAGE = 4_096;
const MIB = 1024 * 1024;
/** A block of random bytes and a little of one with text. */
const SIZE_MIB = 18;

const pagesOf = (memory: SeededMemory): string[] =>
  memory.blocks.flatMap((block) =>
    Array.from({ length: block.length / PAGE }, (_, page) =>
      Buffer.from(block.buffer, block.byteOffset + page * PAGE, PAGE).toString('latin1'),
    ),
  );

test('the same seeds give the same memory, others give another', () => {
  const [one, same, other] = [new SeededMemory(), new SeededMemory(), new SeededMemory()];
  expect(one.fill(SIZE_MIB, 1)).toBe(same.fill(SIZE_MIB, 1));
  expect(other.fill(SIZE_MIB, 2)).not.toBe(one.checksum());
  expect(one.change(1, 5)).toBe(same.change(1, 5));
});

test('no two pages are alike, and a fill with another seed leaves none as it was', () => {
  const memory = new SeededMemory();
  memory.fill(SIZE_MIB, 1);
  const before = pagesOf(memory);
  expect(new Set(before).size).toBe((SIZE_MIB * MIB) / PAGE);
  memory.fill(SIZE_MIB, 2);
  expect(pagesOf(memory).filter((page, index) => page === before[index])).toEqual([]);
});

test('a change rewrites as much as was asked for, in whole runs, and shows in the checksum', () => {
  const memory = new SeededMemory();
  const sum = memory.fill(SIZE_MIB, 1);
  const before = pagesOf(memory);
  expect(memory.change(2, 7)).not.toBe(sum);
  const changed = pagesOf(memory).flatMap((page, index) => (page === before[index] ? [] : [index]));
  expect(changed).toHaveLength((2 * MIB) / PAGE);
  const runs = new Set(changed.map((page) => Math.floor((page * PAGE) / RUN_BYTES)));
  expect(runs.size).toBe((2 * MIB) / RUN_BYTES);
});

test('a single bit shows in the checksum', () => {
  const memory = new SeededMemory();
  const sum = memory.fill(SIZE_MIB, 1);
  memory.blocks[1]![12_345]! ^= 1;
  expect(memory.checksum()).not.toBe(sum);
});

test('its prose can be compressed as prose can, not better', () => {
  const text = prose(2 * MIB, 3);
  const packed = deflateSync(text, { level: 6 }).length / text.length;
  expect(packed).toBeGreaterThan(0.25);
  expect(packed).toBeLessThan(0.5);
});
