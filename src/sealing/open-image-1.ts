import { createHash } from 'node:crypto';
import { MAX_SEALED_BYTES, MIN_SEALED_BYTES } from './chunk.js';
import { Coverage } from './coverage-1.js';
import { FormatError } from './image-error.js';
import type { ImageFile } from './image-file.js';
import { HEADER_BYTES } from './image-header.js';
import type { OpenChunkTask } from './open-chunk-1.js';
import { readFully } from './read-fully.js';
import { checkDigest } from './read-table.js';
import type { SealPool } from './worker-pool.js';

const LENGTH_BYTES = 4;

/**
 * Applies an image of format version 1. The file is read once from front to end: each byte is hashed, and opened from
 * the same buffer.
 */
export async function applyImage1(
  { handle, size, header, headerBytes, headerHash, key }: ImageFile,
  outputs: { memoryFd: number; deviceState: SharedArrayBuffer },
  digest: string,
  pool: SealPool,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = createHash('sha256').update(headerBytes);
  const coverage = new Coverage();
  const running = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  let position = HEADER_BYTES;
  try {
    for (let index = 0; position < size; index++) {
      signal?.throwIfAborted();
      const prefix = await readFully(handle, position, Math.min(LENGTH_BYTES, size - position));
      const length = prefix.length === LENGTH_BYTES ? prefix.readUInt32LE(0) : 0;
      const end = position + LENGTH_BYTES + length;
      if (length < MIN_SEALED_BYTES || length > MAX_SEALED_BYTES || end > size) {
        throw new FormatError(`chunk ${index} has an impossible length, or the file is cut short`);
      }
      const sealed = await readFully(handle, position + LENGTH_BYTES, length);
      hash.update(prefix).update(sealed);
      const last = end === size;
      const { memoryBytes } = header;
      const task: OpenChunkTask = { do: 'open-1', key, headerHash, memoryBytes, ...outputs, sealed, index, last };
      const job: Promise<void> = pool
        .run(task, [sealed.buffer])
        .then((chunk) => coverage.add(chunk))
        .catch((error: unknown) => void (failure ??= { error }))
        .finally(() => running.delete(job));
      running.add(job);
      if (running.size >= pool.size * 2) await Promise.race(running);
      if (failure) break;
      position = end;
    }
  } finally {
    // The threads write to a file that the caller closes next.
    await Promise.all(running);
  }
  if (failure) throw failure.error;
  coverage.check(header.deviceStateBytes);
  checkDigest(hash.digest('hex'), digest);
}
