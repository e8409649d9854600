import { brotliDecompressSync } from 'node:zlib';
import koffi from 'koffi';
import { alignedBuffer } from './aligned-buffer.js';
import { MAX_PAYLOAD_BYTES } from './memory-block.js';

/** How the body of a chunk is stored. Brotli was written by format version 1, and is only read. */
export const ENCODING = { plain: 0, brotli: 1, zstd: 2 } as const;

const LEVEL = 1;
/** Nothing shorter is worth a try. */
const MIN_BYTES = 64;

interface Zstd {
  compress(into: Buffer, capacity: number, from: Uint8Array, bytes: number): number;
  decompress(into: Buffer, capacity: number, from: Uint8Array, bytes: number): number;
  isError(result: number): boolean;
}

let zstd: Zstd | undefined;
let packed: Buffer = Buffer.alloc(0);
let unpacked: Buffer = Buffer.alloc(0);

/**
 * Compresses with zstd, where that saves a sixteenth.
 *
 * @param payload at most MAX_PAYLOAD_BYTES
 * @returns undefined where it does not; otherwise a buffer of this thread's, good until the next call
 */
export function pack(payload: Buffer): Buffer | undefined {
  if (payload.length < MIN_BYTES) return undefined;
  // With too little room for its result zstd gives up: what does not shrink is not compressed to its end.
  const capacity = payload.length - Math.ceil(payload.length / 16);
  if (packed.length === 0) packed = alignedBuffer(MAX_PAYLOAD_BYTES);
  const { compress, isError } = (zstd ??= loadZstd());
  const length = compress(packed, capacity, payload, payload.length);
  return isError(length) ? undefined : packed.subarray(0, length);
}

/**
 * Undoes `pack`, and format version 1's brotli. What comes out never exceeds `length`, whatever `body` claims.
 *
 * @param length at most MAX_PAYLOAD_BYTES
 * @returns undefined if it does not unpack to `length` bytes; otherwise a buffer that is good until the next call
 */
export function unpack(encoding: number, body: Buffer, length: number): Buffer | undefined {
  const payload = unpackAtMost(encoding, body, length);
  return payload?.length === length ? payload : undefined;
}

function unpackAtMost(encoding: number, body: Buffer, length: number): Buffer | undefined {
  if (encoding === ENCODING.plain) return body;
  if (encoding === ENCODING.brotli) {
    try {
      return brotliDecompressSync(body, { maxOutputLength: Math.max(length, 1), chunkSize: Math.max(length, 64) });
    } catch {
      return undefined;
    }
  }
  if (encoding !== ENCODING.zstd) return undefined;
  if (unpacked.length === 0) unpacked = alignedBuffer(MAX_PAYLOAD_BYTES);
  const { decompress, isError } = (zstd ??= loadZstd());
  const bytes = decompress(unpacked, length, body, body.length);
  return isError(bytes) ? undefined : unpacked.subarray(0, bytes);
}

/** One pair of contexts for each thread, for its lifetime: making them anew for every chunk costs more than a small chunk. */
function loadZstd(): Zstd {
  const library = loadLibrary();
  const compress = library.func('size_t ZSTD_compressCCtx(void *, void *, size_t, const void *, size_t, int)');
  const decompress = library.func('size_t ZSTD_decompressDCtx(void *, void *, size_t, const void *, size_t)');
  const isError = library.func('unsigned int ZSTD_isError(size_t)');
  const packing: unknown = library.func('void *ZSTD_createCCtx()')();
  const unpacking: unknown = library.func('void *ZSTD_createDCtx()')();
  if (packing === null || unpacking === null) throw new Error('there is no memory for zstd');
  return {
    compress: (into, capacity, from, bytes) => compress(packing, into, capacity, from, bytes, LEVEL) as number,
    decompress: (into, capacity, from, bytes) => decompress(unpacking, into, capacity, from, bytes) as number,
    isError: (result) => isError(result) !== 0,
  };
}

function loadLibrary(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libzstd.so.1');
  } catch (cause) {
    throw new Error('libzstd.so.1 cannot be loaded; install it (Debian: libzstd1)', { cause });
  }
}
