import type { FileHandle } from 'node:fs/promises';
import { lengthOf, type ByteRange } from './byte-ranges.js';

const PIECE_BYTES = 65_536;

/** An open file, as it can be sent. */
export interface Content {
  /** Undefined where it is known only at the file's end. */
  size: number | undefined;
  modifiedMs: number;
  /** The first of them has been read by then. Undefined: all, to the file's end. */
  bytes: (range?: ByteRange) => Promise<AsyncIterable<Uint8Array>>;
}

/** @throws Error when the file ends before `range` does. */
export async function* readPieces(handle: FileHandle, range: ByteRange | undefined): AsyncGenerator<Buffer> {
  let left = range === undefined ? Infinity : lengthOf(range);
  let at = range?.start ?? null;
  while (left > 0) {
    const length = Math.min(PIECE_BYTES, left);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) {
      if (range === undefined) return;
      throw new Error('the file became shorter while it was read');
    }
    left -= bytesRead;
    if (at !== null) at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** All of `pieces`, asked for the first one already: what fails there still becomes an error. */
export async function begun<T>(pieces: AsyncIterator<T>): Promise<AsyncIterable<T>> {
  let next = await pieces.next();
  return (async function* () {
    try {
      for (; next.done !== true; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  })();
}
