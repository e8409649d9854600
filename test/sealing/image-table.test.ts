import { describe, expect, it } from 'vitest';
import { decodeTable, encodeTable, type ImageTable, type PartEntry } from '../../src/sealing/image-table.js';
import { REUSE_LIMITS, reusableParts } from '../../src/sealing/reuse.js';

const MIB = 1024 * 1024;
const HASH = 'ab'.repeat(32);
const DIGEST = '0123456789abcdef'.repeat(2);
const header = {
  ...{ formatVersion: 2, sandboxId: 'a', generation: 9, templateKey: 't', salt: Buffer.alloc(32) },
  ...{ memoryBytes: 4 * MIB, deviceStateBytes: 1_500_000 },
};
const part = (number: number, file: number, offset: number, length = 1000): PartEntry => ({
  ...{ part: number, file, index: number + 3, offset, length, digest: DIGEST },
});
/** Own frames: 512 to 2512; parts 0 and 15 there, part 3 in the file of generation 7. */
const good = (): ImageTable => ({
  files: [
    { generation: 9, headerHash: HASH },
    { generation: 7, headerHash: 'cd'.repeat(32) },
  ],
  device: [
    { index: 1, offset: 512, length: 300 },
    { index: 2, offset: 812, length: 200 },
  ],
  parts: [part(0, 0, 1012), part(3, 1, 100_000), part(15, 0, 2012, 500)],
});
const decode = (bytes: Buffer): ImageTable => decodeTable(bytes, { header, headerHash: HASH, framesEnd: 2512 });

describe('the table of an image', () => {
  it('is read as it was written', () => {
    expect(decode(encodeTable(good()))).toEqual(good());
  });

  const cases: [string, (table: ImageTable) => void, RegExp][] = [
    ['a part twice', ({ parts }) => (parts[1]!.part = 0), /twice/],
    ['parts that do not ascend', ({ parts }) => parts.reverse(), /twice/],
    ['a part behind the memory', ({ parts }) => (parts[2]!.part = 16), /not there/],
    ['a file that it does not list', ({ parts }) => (parts[1]!.file = 2), /files/],
    ['a file that nothing is in', ({ parts }) => parts.splice(1, 1), /files/],
    ['another file first', ({ files }) => files.reverse(), /files/],
    ['another header of its own', ({ files }) => (files[0]!.headerHash = 'ef'.repeat(32)), /files/],
    ['a file that is not earlier', ({ files }) => (files[1]!.generation = 10), /files/],
    ['a file twice', ({ files }) => (files[1]!.generation = 9), /files/],
    ['a chunk in a header', ({ parts }) => (parts[1]!.offset = 511), /impossible place/],
    ['a chunk without content', ({ parts }) => (parts[1]!.length = 23), /impossible place/],
    ['a chunk that is too large', ({ parts }) => (parts[1]!.length = 270_000), /impossible place/],
    ['device state that is too large', ({ device }) => (device[0]!.length = 2 * MIB), /impossible place/],
    ['chunks that overlap', ({ parts }) => (parts[0]!.offset = 1000), /fill/],
    ['a gap between chunks', ({ parts }) => (parts[0]!.length = 900), /fill/],
    ['chunks that end before the table', ({ parts }) => (parts[2]!.length = 400), /fill/],
    ['a piece of device state too few', ({ device }) => device.pop(), /size/],
    ['a piece of device state too many', ({ device }) => device.push(device[0]!), /size/],
    [
      'nine files',
      ({ files }) => files.push(...Array.from({ length: 7 }, (_, at) => ({ generation: at, headerHash: HASH }))),
      /size/,
    ],
    ['no file', ({ files }) => files.splice(0), /size/],
  ];
  it.each(cases)('with %s is refused', (_what, change, problem) => {
    const table = good();
    change(table);
    expect(() => decode(encodeTable(table))).toThrow(problem);
  });

  it('whose size is not what its counts say is refused before anything is made of them', () => {
    const bytes = encodeTable(good());
    for (const length of [0, 15, 16, bytes.length - 1])
      expect(() => decode(bytes.subarray(0, length))).toThrow(/short|size/);
    expect(() => decode(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/size/);
    for (const at of [0, 4, 8, 12]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt32LE(0xffff_ffff, at);
      expect(() => decode(changed)).toThrow(/size/);
    }
  });
});

describe('what a new image may refer to', () => {
  const table = (parts: PartEntry[], files: number): ImageTable => ({
    files: Array.from({ length: files }, (_, at) => ({ generation: 100 - at, headerHash: HASH })),
    device: [],
    parts,
  });
  const kept = (parts: PartEntry[], sizes: number[]): number[] => [
    ...new Set([...reusableParts(table(parts, sizes.length), sizes).values()].map(({ file }) => file)),
  ];

  it('is everything of files that are alive, or small', () => {
    expect(kept([part(0, 0, 512, MIB), part(1, 1, 512, 10)], [2 * MIB, MIB])).toEqual([0, 1]);
  });

  it('is nothing of a file that is mostly dead: more than 1 MiB, and more than half', () => {
    const live = 100 * MIB;
    const sizes = (dead: number): number[] => [live + dead];
    expect(kept([part(0, 0, 512, live)], sizes(live))).toEqual([0]);
    expect(kept([part(0, 0, 512, live)], sizes(live + 2))).toEqual([]);
    expect(kept([part(0, 0, 512, 10)], sizes(MIB + 10 - live))).toEqual([0]);
    expect(kept([part(0, 0, 512, 10)], sizes(MIB + 11 - live))).toEqual([]);
  });

  it('is in seven files at most: those of which least is needed are let go', () => {
    const parts = Array.from({ length: 8 }, (_, file) => part(file, file, 512, 1000 + ((file * 5) % 8)));
    const files = kept(
      parts,
      parts.map(() => 4000),
    );
    expect(files.length).toBe(REUSE_LIMITS.files - 1);
    expect(files).not.toContain(0);
  });
});
