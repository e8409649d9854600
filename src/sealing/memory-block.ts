import { FormatError } from './image-error.js';
import { PAGE_BYTES } from './image-header.js';

/** A reader takes blocks of up to this many pages (4 MiB). */
export const MAX_BLOCK_PAGES = 1024;
const FIXED_BYTES = 24;

/** Size of the payload of a block of `pages` pages of which `stored` are stored. */
export const payloadBytes = (pages: number, stored: number): number =>
  FIXED_BYTES + 2 * Math.ceil(pages / 8) + stored * PAGE_BYTES;

export const MAX_PAYLOAD_BYTES = payloadBytes(MAX_BLOCK_PAGES, MAX_BLOCK_PAGES);

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export interface BlockCounts {
  storedPages: number;
  zeroPages: number;
}

/**
 * The difference of one block of memory from the same block of the base, as the payload of a memory chunk: offset,
 * page counts, bitmap of the stored pages, bitmap of the pages that are zero now, the stored pages.
 *
 * @param memory whole pages, at most MAX_BLOCK_PAGES
 * @param base as long as `memory`
 * @param offset of the block in the memory, bytes
 * @param scratch at least MAX_PAYLOAD_BYTES; the payload returned is a part of it
 * @returns undefined when the blocks are equal
 */
export function diffBlock(
  memory: Buffer,
  base: Buffer,
  offset: number,
  scratch: Buffer,
): (BlockCounts & { payload: Buffer }) | undefined {
  if (memory.equals(base)) return undefined;
  const pages = memory.length / PAGE_BYTES;
  const mapBytes = Math.ceil(pages / 8);
  const zeroMapAt = FIXED_BYTES + mapBytes;
  let end = zeroMapAt + mapBytes;
  scratch.fill(0, 0, end);
  let storedPages = 0;
  let zeroPages = 0;
  for (let page = 0; page < pages; page++) {
    const from = page * PAGE_BYTES;
    const to = from + PAGE_BYTES;
    if (memory.compare(base, from, to, from, to) === 0) continue;
    if (memory.compare(ZERO_PAGE, 0, PAGE_BYTES, from, to) === 0) {
      setBit(scratch, zeroMapAt, page);
      zeroPages++;
    } else {
      setBit(scratch, FIXED_BYTES, page);
      memory.copy(scratch, end, from, to);
      end += PAGE_BYTES;
      storedPages++;
    }
  }
  scratch.writeBigUInt64LE(BigInt(offset), 0);
  scratch.writeUInt32LE(pages, 8);
  scratch.writeUInt32LE(storedPages, 12);
  scratch.writeUInt32LE(zeroPages, 16);
  return { payload: scratch.subarray(0, end), storedPages, zeroPages };
}

/**
 * Undoes `diffBlock`: hands every run of neighbouring changed pages to `write`.
 *
 * @param memoryBytes size of the whole memory; nothing is written beyond it
 * @throws FormatError, before anything is written, if the payload contradicts itself
 */
export function applyBlock(
  payload: Buffer,
  memoryBytes: number,
  write: (data: Buffer, position: number) => void,
): BlockCounts & { offset: number; bytes: number } {
  if (payload.length < FIXED_BYTES) throw new FormatError('a memory chunk is too short');
  const offset = Number(payload.readBigUInt64LE(0));
  const pages = payload.readUInt32LE(8);
  const storedPages = payload.readUInt32LE(12);
  const zeroPages = payload.readUInt32LE(16);
  const bytes = pages * PAGE_BYTES;
  const mapBytes = Math.ceil(pages / 8);
  const zeroMapAt = FIXED_BYTES + mapBytes;
  const dataAt = zeroMapAt + mapBytes;
  if (pages < 1 || pages > MAX_BLOCK_PAGES || offset % PAGE_BYTES !== 0 || offset + bytes > memoryBytes) {
    throw new FormatError('a memory chunk lies outside the memory');
  }
  if (payload.readUInt32LE(20) !== 0 || payload.length !== dataAt + storedPages * PAGE_BYTES) {
    throw new FormatError('a memory chunk has a wrong length');
  }
  const stored = readRuns(payload, FIXED_BYTES, pages);
  const zero = readRuns(payload, zeroMapAt, pages);
  const overlap = payload.subarray(FIXED_BYTES, zeroMapAt).some((bits, at) => (bits & payload[zeroMapAt + at]!) !== 0);
  if (overlap || total(stored) !== storedPages || total(zero) !== zeroPages) {
    throw new FormatError('the page map of a memory chunk contradicts its counts');
  }
  let at = dataAt;
  for (const [page, count] of stored) {
    write(payload.subarray(at, at + count * PAGE_BYTES), offset + page * PAGE_BYTES);
    at += count * PAGE_BYTES;
  }
  for (const [page, count] of zero) write(Buffer.alloc(count * PAGE_BYTES), offset + page * PAGE_BYTES);
  return { offset, bytes, storedPages, zeroPages };
}

type Run = [page: number, count: number];

function readRuns(map: Buffer, at: number, pages: number): Run[] {
  const runs: Run[] = [];
  let open: Run | undefined;
  // To the end of the last byte: a mark behind the last page must show in the count.
  for (let page = 0; page < Math.ceil(pages / 8) * 8; page++) {
    if ((map[at + (page >> 3)]! & (1 << (page & 7))) === 0) open = undefined;
    else if (page >= pages) throw new FormatError('the page map of a memory chunk marks a page that is not there');
    else if (open) open[1]++;
    else runs.push((open = [page, 1]));
  }
  return runs;
}

const total = (runs: Run[]): number => runs.reduce((sum, [, count]) => sum + count, 0);

const setBit = (map: Buffer, at: number, bit: number): void => {
  map[at + (bit >> 3)]! |= 1 << (bit & 7);
};
