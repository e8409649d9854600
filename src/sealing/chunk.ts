import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { alignedBuffer } from './aligned-buffer.js';
import { FormatError } from './image-error.js';
import { MAX_PAYLOAD_BYTES } from './memory-block.js';
import { ENCODING, pack, unpack } from './packing.js';

export const CHUNK_KIND = { device: 1, memory: 2, end: 3, table: 4 } as const;
export type ChunkKind = (typeof CHUNK_KIND)[keyof typeof CHUNK_KIND];

const TAG_BYTES = 16;
const INNER_HEADER_BYTES = 8;
/**
 * Node makes a new buffer for every piece that a cipher gives out. Above some 128 KiB the allocator takes each from the
 * kernel, page by page: a quarter of the time of sealing.
 */
const SLICE_BYTES = 64 * 1024;
/** What sealing adds to a payload that is not compressed. */
export const SEAL_BYTES = INNER_HEADER_BYTES + TAG_BYTES;
/** Of a sealed chunk: inner header, payload, tag. Checked before anything is allocated. */
export const MIN_SEALED_BYTES = SEAL_BYTES;
export const MAX_SEALED_BYTES = SEAL_BYTES + MAX_PAYLOAD_BYTES;

/** Where this thread opens chunks. */
let opened: Buffer = Buffer.alloc(0);

/** What binds a chunk to its file and to its place in it. */
export interface ChunkPlace {
  key: KeyObject;
  headerHash: Uint8Array;
  index: number;
  last: boolean;
}

/**
 * Compresses (where it pays) and seals one chunk.
 *
 * @param payload at most MAX_PAYLOAD_BYTES; not changed
 * @param into gets ciphertext and tag, at `at`; there must be room for the payload and SEAL_BYTES
 * @param packing `never`: its size shall follow from that of the payload
 * @returns how many bytes it became
 */
export function sealChunk(
  place: ChunkPlace,
  kind: ChunkKind,
  payload: Buffer,
  into: Buffer,
  at: number,
  packing: 'where it pays' | 'never' = 'where it pays',
): number {
  if (payload.length > MAX_PAYLOAD_BYTES) throw new FormatError('a chunk is too large');
  const packed = packing === 'never' ? undefined : pack(payload);
  const body = packed ?? payload;
  const inner = Buffer.alloc(INNER_HEADER_BYTES);
  inner[0] = kind;
  inner[1] = packed ? ENCODING.zstd : ENCODING.plain;
  inner.writeUInt32LE(payload.length, 4);

  const cipher = createCipheriv('aes-256-gcm', place.key, nonce(place.index));
  cipher.setAAD(additionalData(place));
  let end = at + cipher.update(inner).copy(into, at);
  end += inSlices(cipher, body, into, end);
  cipher.final();
  end += cipher.getAuthTag().copy(into, end);
  if (end !== at + SEAL_BYTES + body.length) throw new Error('a sealed chunk did not fit where it should go');
  return end - at;
}

/**
 * Opens one chunk: nothing of its content is looked at before all of it is authenticated.
 *
 * @param sealed ciphertext and tag
 * @returns the payload is good until the next call of this thread
 * @throws FormatError if it is not genuine, or not of this place
 */
export function openChunk(place: ChunkPlace, sealed: Buffer): { kind: ChunkKind; payload: Buffer } {
  if (sealed.length < MIN_SEALED_BYTES || sealed.length > MAX_SEALED_BYTES) {
    throw new FormatError(`chunk ${place.index} has an impossible length`);
  }
  const decipher = createDecipheriv('aes-256-gcm', place.key, nonce(place.index), { authTagLength: TAG_BYTES });
  decipher.setAAD(additionalData(place));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  if (opened.length === 0) opened = alignedBuffer(MAX_SEALED_BYTES);
  const plain = opened.subarray(0, inSlices(decipher, sealed.subarray(0, sealed.length - TAG_BYTES), opened, 0));
  try {
    decipher.final();
  } catch {
    const hint = place.last ? ' as its last one: the file may be cut short' : '';
    throw new FormatError(`chunk ${place.index} fails authentication${hint}`);
  }
  const kind = plain[0] as ChunkKind;
  const length = plain.readUInt32LE(4);
  if (!Object.values(CHUNK_KIND).includes(kind) || plain.readUInt16LE(2) !== 0) {
    throw new FormatError(`chunk ${place.index} is of an unknown kind`);
  }
  if (length > MAX_PAYLOAD_BYTES) throw new FormatError(`chunk ${place.index} claims ${length} bytes, above the limit`);
  const payload = unpack(plain[1]!, plain.subarray(INNER_HEADER_BYTES), length);
  if (payload === undefined) throw new FormatError(`chunk ${place.index} does not unpack to its length`);
  return { kind, payload };
}

/** @returns how many bytes were put into `into`: as many as there are in `from` */
function inSlices(cipher: { update(data: Buffer): Buffer }, from: Buffer, into: Buffer, at: number): number {
  for (let start = 0; start < from.length; start += SLICE_BYTES) {
    cipher.update(from.subarray(start, start + SLICE_BYTES)).copy(into, at + start);
  }
  return from.length;
}

function nonce(index: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(index, 8);
  return bytes;
}

function additionalData({ headerHash, index, last }: ChunkPlace): Buffer {
  const bytes = Buffer.alloc(headerHash.length + 5);
  bytes.set(headerHash, 0);
  bytes.writeUInt32LE(index, headerHash.length);
  bytes[headerHash.length + 4] = last ? 1 : 0;
  return bytes;
}
