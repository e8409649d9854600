import type { FileHandle } from 'node:fs/promises';
import { FormatError } from './image-error.js';

/** @throws FormatError if the file ends before */
export async function readFully(file: FileHandle, position: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new FormatError('the file became shorter while it was being read');
    at += bytesRead;
  }
  return bytes;
}
