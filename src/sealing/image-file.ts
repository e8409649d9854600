import type { KeyObject } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { FormatError } from './image-error.js';
import { decodeHeader, fileKey, HEADER_BYTES, hashHeader, type ImageHeader } from './image-header.js';
import { readFully } from './read-fully.js';

/** One open file of an image; its header has its form, and is not authenticated. */
export interface ImageFile {
  path: string;
  handle: FileHandle;
  size: number;
  headerBytes: Buffer;
  header: ImageHeader;
  headerHash: Buffer;
  key: KeyObject;
}

/** What the caller knows of an image. */
export interface Identity {
  sandboxId: string;
  generation: number;
  templateKey: string;
  memoryBytes: number;
}

/** @throws FormatError if it is missing, no image, or one of something else; errors of the file system as they are */
export async function openImageFile(path: string, imageKey: Buffer, wanted: Identity): Promise<ImageFile> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new FormatError('the file is not there', path) : error;
  });
  try {
    const { size } = await handle.stat();
    const headerBytes = await readFully(handle, 0, Math.min(HEADER_BYTES, size));
    const header = decodeHeader(headerBytes);
    checkIdentity(header, wanted);
    const headerHash = hashHeader(headerBytes);
    return { path, handle, size, headerBytes, header, headerHash, key: fileKey(imageKey, header) };
  } catch (error) {
    await handle.close();
    throw error instanceof FormatError ? new FormatError(error.message, path) : error;
  }
}

function checkIdentity(header: ImageHeader, wanted: Identity): void {
  const differs = (what: string, is: string | number, want: string | number): void => {
    if (is !== want) throw new FormatError(`its ${what} is ${JSON.stringify(is)}, expected ${JSON.stringify(want)}`);
  };
  differs('sandbox id', header.sandboxId, wanted.sandboxId);
  differs('generation', header.generation, wanted.generation);
  differs('template', header.templateKey, wanted.templateKey);
  differs('memory size', header.memoryBytes, wanted.memoryBytes);
}
