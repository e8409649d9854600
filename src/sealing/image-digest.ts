import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { FormatError } from './image-error.js';
import { decodeHeader, HEADER_BYTES } from './image-header.js';
import { maxTableBytes } from './image-table.js';
import { digestOfParts, readTail } from './image-tail.js';
import { readFully } from './read-fully.js';

/**
 * The digest by which an image is known, of either format version; needs no key, and proves nothing about the chunks of
 * a version 2 image: those show whether they are genuine when they are opened.
 *
 * @returns SHA-256, hex: of the whole file (version 1, and whatever is no image), or of header and tail (version 2)
 */
export async function digestOfImage(path: string): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const headerBytes = await readFully(handle, 0, Math.min(HEADER_BYTES, size));
    const header = decodeHeader(headerBytes);
    if (header.formatVersion > 1) {
      const { tail } = await readTail(handle, size, maxTableBytes(header));
      return digestOfParts(headerBytes, tail);
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  } finally {
    await handle.close();
  }
  const whole = createHash('sha256');
  const again = await open(path, 'r');
  await pipeline(again.createReadStream(), whole);
  return whole.digest('hex');
}
