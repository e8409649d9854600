import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { LENGTH_BYTES, MAX_SEALED_BYTES, MIN_SEALED_BYTES } from './chunk.js';
import { FormatError, ImageDamagedError } from './image-error.js';
import { decodeHeader, fileKey, HEADER_BYTES, hashHeader, type ImageHeader } from './image-header.js';
import { Coverage } from './coverage.js';
import type { OpenedChunk } from './seal-task.js';
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
 * Applies a sealed image to a memory file, and hands out the device state that belongs to it. Resolves only after every
 * byte of the image is authenticated; the image itself is never changed. On failure or abort what is in the memory file
 * is worth nothing, and the caller removes it.
 *
 * @returns the device state
 * @throws ImageDamagedError if the image is missing, damaged, or not the one asked for; errors of the file system on
 *   the memory file (`ENOSPC`, ...) as they are: then the image is not at fault; the signal's reason
 */
export async function openImage(options: OpenOptions): Promise<Buffer> {
  options.signal?.throwIfAborted();
  const closing: FileHandle[] = [];
  const use = (handle: FileHandle): FileHandle => {
    closing.push(handle);
    return handle;
  };
  try {
    const image = use(await openImageFile(options));
    const memory = use(await open(options.memoryPath, 'r+'));
    const { size } = await image.stat();
    const headerBytes = await read(image, 0, Math.min(HEADER_BYTES, size));
    const header = decodeHeader(headerBytes);
    checkIdentity(header, options, (await memory.stat()).size);

    const deviceState = new SharedArrayBuffer(header.deviceStateBytes);
    const outputs = { memoryFd: memory.fd, deviceState };
    const digest = await openChunks(image, size, header, headerBytes, outputs, options);
    if (digest !== options.digest) {
      throw new FormatError(`its SHA-256 is ${digest}, the image asked for has ${JSON.stringify(options.digest)}`);
    }
    options.signal?.throwIfAborted();
    return Buffer.from(deviceState);
  } catch (error) {
    if (error instanceof FormatError) throw new ImageDamagedError(options.sandboxId, options.path, error.message);
    throw error;
  } finally {
    for (const handle of closing) await handle.close();
  }
}

async function openImageFile(options: OpenOptions): Promise<FileHandle> {
  return open(options.path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT' ? new FormatError('the file is not there') : error;
  });
}

function checkIdentity(header: ImageHeader, wanted: OpenOptions, memoryBytes: number): void {
  const differs = (what: string, is: string | number, want: string | number): void => {
    if (is !== want) throw new FormatError(`its ${what} is ${JSON.stringify(is)}, expected ${JSON.stringify(want)}`);
  };
  differs('sandbox id', header.sandboxId, wanted.sandboxId);
  differs('generation', header.generation, wanted.generation);
  differs('template', header.templateKey, wanted.templateKey);
  differs('memory size', header.memoryBytes, memoryBytes);
}

/** Reads the file once from front to end: each byte is hashed, and opened from the same buffer. @returns SHA-256, hex */
async function openChunks(
  image: FileHandle,
  size: number,
  header: ImageHeader,
  headerBytes: Buffer,
  outputs: { memoryFd: number; deviceState: SharedArrayBuffer },
  options: OpenOptions,
): Promise<string> {
  const pool = options.pool ?? sharedSealPool();
  const hash = createHash('sha256').update(headerBytes);
  const seal = { key: fileKey(options.imageKey, header), headerHash: hashHeader(headerBytes) };
  const coverage = new Coverage();
  const running = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  let position = HEADER_BYTES;
  try {
    for (let index = 0; position < size; index++) {
      options.signal?.throwIfAborted();
      const prefix = await read(image, position, Math.min(LENGTH_BYTES, size - position));
      const length = prefix.length === LENGTH_BYTES ? prefix.readUInt32LE(0) : 0;
      const end = position + LENGTH_BYTES + length;
      if (length < MIN_SEALED_BYTES || length > MAX_SEALED_BYTES || end > size) {
        throw new FormatError(`chunk ${index} has an impossible length, or the file is cut short`);
      }
      const sealed = await read(image, position + LENGTH_BYTES, length);
      hash.update(prefix).update(sealed);
      const last = end === size;
      const { memoryBytes } = header;
      const task = { do: 'open', ...seal, memoryBytes, ...outputs, sealed, index, last } as const;
      const job: Promise<void> = pool
        .run(task, [sealed.buffer])
        .then((chunk) => coverage.add(chunk as OpenedChunk))
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
  return hash.digest('hex');
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new FormatError('the file became shorter while it was being read');
    at += bytesRead;
  }
  return bytes;
}
