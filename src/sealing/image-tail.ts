import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { CHUNK_KIND, openChunk, SEAL_BYTES, sealChunk, type ChunkPlace } from './chunk.js';
import { FormatError } from './image-error.js';
import { HEADER_BYTES } from './image-header.js';
import { readFully } from './read-fully.js';

/** The tail of an image: its table, sealed in chunks of known sizes, and its end. Together with the header, what counts. */

const TABLE_CHUNK_BYTES = 1024 * 1024;
const END_PAYLOAD_BYTES = 24;
/** The end begins with the table's offset in the clear, so that the image's digest can be told without a key. */
const CLEAR_BYTES = 8;
const END_BYTES = CLEAR_BYTES + SEAL_BYTES + END_PAYLOAD_BYTES;
/** Of the end chunk, so that a reader need not be told. Other chunks count from the next one. */
const END_INDEX = 0;
export const FIRST_INDEX = 1;

type Seal = Pick<ChunkPlace, 'key' | 'headerHash'>;

/** @param tailAt offset in the file; @param firstIndex of the table's chunks: how many chunks there are before */
export function sealTail(seal: Seal, table: Buffer, tailAt: number, firstIndex: number): Buffer {
  const chunks = chunkCount(table.length);
  const tail = Buffer.alloc(table.length + chunks * SEAL_BYTES + END_BYTES);
  let at = 0;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const payload = table.subarray(chunk * TABLE_CHUNK_BYTES, (chunk + 1) * TABLE_CHUNK_BYTES);
    const place = { ...seal, index: firstIndex + chunk, last: false };
    at += sealChunk(place, CHUNK_KIND.table, payload, tail, at, 'never');
  }
  tail.writeBigUInt64LE(BigInt(tailAt), at);
  const end = Buffer.alloc(END_PAYLOAD_BYTES);
  [tailAt, table.length, firstIndex].forEach((value, which) => end.writeBigUInt64LE(BigInt(value), which * 8));
  sealChunk({ ...seal, index: END_INDEX, last: true }, CHUNK_KIND.end, end, tail, at + CLEAR_BYTES, 'never');
  return tail;
}

/**
 * Reads the tail as it stands in the file.
 *
 * @param limit most bytes that the table may have; nothing larger is read
 * @throws FormatError if the file has no tail
 */
export async function readTail(
  handle: FileHandle,
  size: number,
  limit: number,
): Promise<{ tailAt: number; tail: Buffer }> {
  if (size < HEADER_BYTES + END_BYTES) throw new FormatError('it is cut short');
  const clear = await readFully(handle, size - END_BYTES, CLEAR_BYTES);
  const tailAt = clear.readBigUInt64LE(0);
  const most = limit + chunkCount(limit) * SEAL_BYTES + END_BYTES;
  if (tailAt < HEADER_BYTES || tailAt > size - END_BYTES || size - Number(tailAt) > most) {
    throw new FormatError('its table has an impossible place: the file may be cut short');
  }
  return { tailAt: Number(tailAt), tail: await readFully(handle, Number(tailAt), size - Number(tailAt)) };
}

/** SHA-256 of header and tail, hex: fixes the image, see docs/sealed-format.md. */
export const digestOfParts = (headerBytes: Buffer, tail: Buffer): string =>
  createHash('sha256').update(headerBytes).update(tail).digest('hex');

/** @returns the table, authentic; @throws FormatError if it is not */
export function openTail(seal: Seal, tail: Buffer, tailAt: number): Buffer {
  const endAt = tail.length - END_BYTES;
  const end = open({ ...seal, index: END_INDEX, last: true }, CHUNK_KIND.end, tail.subarray(endAt + CLEAR_BYTES));
  if (end.length !== END_PAYLOAD_BYTES) throw new FormatError('the last chunk has a wrong length');
  const [sealedAt, bytes, firstIndex] = [0, 8, 16].map((at) => Number(end.readBigUInt64LE(at))) as [
    number,
    number,
    number,
  ];
  const chunks = chunkCount(bytes);
  if (sealedAt !== tailAt || bytes + chunks * SEAL_BYTES !== endAt) {
    throw new FormatError('its table is not where its end says');
  }
  const table = Buffer.alloc(bytes);
  for (let chunk = 0, at = 0; chunk < chunks; chunk++) {
    const length = Math.min(TABLE_CHUNK_BYTES, bytes - chunk * TABLE_CHUNK_BYTES);
    const sealed = tail.subarray(at, at + length + SEAL_BYTES);
    open({ ...seal, index: firstIndex + chunk, last: false }, CHUNK_KIND.table, sealed).copy(
      table,
      chunk * TABLE_CHUNK_BYTES,
    );
    at += sealed.length;
  }
  return table;
}

function open(place: ChunkPlace, kind: number, sealed: Buffer): Buffer {
  const chunk = openChunk(place, sealed);
  if (chunk.kind !== kind) throw new FormatError(`chunk ${place.index} is out of place`);
  return chunk.payload;
}

const chunkCount = (tableBytes: number): number => Math.ceil(tableBytes / TABLE_CHUNK_BYTES);
