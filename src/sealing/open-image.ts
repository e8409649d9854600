import { open } from 'node:fs/promises';
import { applyImage } from './apply-image.js';
import { FormatError, ImageDamagedError } from './image-error.js';
import { openImageFile, type ImageFile } from './image-file.js';
import { applyImage1 } from './open-image-1.js';
import { openEarlierFiles, readTable } from './read-table.js';
import { sharedSealPool, type SealPool } from './worker-pool.js';

export interface OpenOptions {
  path: string;
  /** The sandbox's subkey `image`, 32 bytes. */
  imageKey: Buffer;
  /** These four are what the caller knows of the image; any other image is refused. */
  sandboxId: string;
  generation: number;
  templateKey: string;
  digest: string;
  /** Where the file of an earlier generation is; an image that refers to one is refused without it. */
  pathOf?: (generation: number) => string;
  /**
   * Holds the template's memory already, and is changed in place. Other processes may have it mapped, but nothing may run
   * on it before this has resolved: until then what is in it is not known to be genuine.
   */
  memoryPath: string;
  signal?: AbortSignal;
  /** Default: the threads shared by the whole process. */
  pool?: SealPool;
}

/**
 * Applies a sealed image to a memory file, and hands out the device state that belongs to it. Resolves only after all that
 * the image consists of is authenticated; the image itself is never changed. On failure or abort what is in the memory
 * file is worth nothing, and the caller removes it.
 *
 * @returns the device state
 * @throws ImageDamagedError if the image, or a file that it refers to, is missing, damaged, or not the one asked for;
 *   errors of the file system on the memory file (`ENOSPC`, ...) as they are: then the image is not at fault; the
 *   signal's reason
 */
export async function openImage(options: OpenOptions): Promise<Buffer> {
  options.signal?.throwIfAborted();
  const opened: ImageFile[] = [];
  const memory = await open(options.memoryPath, 'r+');
  try {
    const { imageKey, sandboxId, generation, templateKey, digest, signal } = options;
    const memoryBytes = (await memory.stat()).size;
    const image = await openImageFile(options.path, imageKey, { sandboxId, generation, templateKey, memoryBytes });
    opened.push(image);
    if (image.header.deviceStateBytes === 0)
      throw new FormatError('it has no device state: it was sealed ahead of time');
    const deviceState = new SharedArrayBuffer(image.header.deviceStateBytes);
    const outputs = { memoryFd: memory.fd, deviceState };
    const pool = options.pool ?? sharedSealPool();
    if (image.header.formatVersion === 1) await applyImage1(image, outputs, digest, pool, signal);
    else {
      const table = await readTable(image, digest);
      const pathOf = options.pathOf ?? unknownFile;
      const files = await openEarlierFiles(image, table, imageKey, pathOf, opened);
      await applyImage(files, table, outputs, pool, signal);
    }
    signal?.throwIfAborted();
    return Buffer.from(deviceState);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new ImageDamagedError(options.sandboxId, error.path ?? options.path, error.message);
  } finally {
    await Promise.all([memory, ...opened.map(({ handle }) => handle)].map((handle) => handle.close()));
  }
}

function unknownFile(generation: number): never {
  throw new FormatError(`it needs the file of generation ${generation}`);
}
