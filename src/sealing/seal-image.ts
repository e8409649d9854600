import { randomBytes } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { CHUNK_KIND, sealChunk } from './chunk.js';
import {
  encodeHeader,
  fileKey,
  FORMAT_VERSION,
  hashHeader,
  MAX_DEVICE_STATE_BYTES,
  PAGE_BYTES,
  SALT_BYTES,
} from './image-header.js';
import { OrderedWriter } from './ordered-writer.js';
import { encodeEnd, type SealedChunk, type SealTask } from './seal-task.js';
import type { Extent } from './sparse-copy.js';
import { syncDirectoryOf, temporaryFile } from './temporary-file.js';
import { sharedSealPool, type SealPool } from './worker-pool.js';

/** Small enough to balance two threads, large enough that most equal memory costs one comparison per block. */
const BLOCK_BYTES = 2 * 1024 * 1024;
const DEVICE_CHUNK_BYTES = 1024 * 1024;

export interface SealOptions {
  /** The image; replaced only by a complete new one. Its directory must exist. */
  path: string;
  /** The sandbox's subkey `image`, 32 bytes. */
  imageKey: Buffer;
  sandboxId: string;
  generation: number;
  templateKey: string;
  /** At most 64 MiB. */
  deviceStatePath: string;
  /** Must not change meanwhile: the guest stands still. */
  memoryPath: string;
  /** The template's memory; as large as `memoryPath`. */
  baseMemoryPath: string;
  /** `findExtents(baseMemoryPath)`: saves reading the holes of the template. */
  baseExtents?: readonly Extent[];
  /** Aborts within one block's work (some 20 ms). */
  signal?: AbortSignal;
  /** Default: the threads shared by the whole process. */
  pool?: SealPool;
}

export interface SealedImage {
  /** SHA-256 of the sealed file, hex. */
  digest: string;
  /** Size of the sealed file. */
  bytes: number;
  /** Pages of 4096 bytes whose content is in the image. */
  storedPages: number;
  /** Pages that became all zero: marked only. */
  zeroPages: number;
}

/**
 * Writes device state and the memory pages that differ from the template into one sealed file, durably: when this
 * resolves the file is in its place and survives a power cut. On failure or abort nothing new is left.
 *
 * @throws the signal's reason; errors of the file system (`ENOSPC`, ...); Error or FormatError when what is to be
 *   sealed is not as promised (sizes, empty device state, ids too long)
 */
export async function sealImage(options: SealOptions): Promise<SealedImage> {
  // A new salt for every attempt makes a new key for every file: no nonce is ever used twice.
  return writeImage(options, randomBytes(SALT_BYTES));
}

/** For test vectors only: with a salt that was used before, this breaks the encryption. */
export async function writeImage(options: SealOptions, salt: Buffer): Promise<SealedImage> {
  options.signal?.throwIfAborted();
  const inputs: FileHandle[] = [];
  const input = async (path: string): Promise<{ fd: number; size: number }> => {
    const handle = await open(path, 'r');
    inputs.push(handle);
    return { fd: handle.fd, size: (await handle.stat()).size };
  };
  try {
    const device = await input(options.deviceStatePath);
    const memory = await input(options.memoryPath);
    const base = await input(options.baseMemoryPath);
    checkSizes(options, device.size, memory.size, base.size);
    const { sandboxId, generation, templateKey } = options;
    const header = {
      ...{ formatVersion: FORMAT_VERSION, sandboxId, generation, templateKey, salt },
      ...{ memoryBytes: memory.size, deviceStateBytes: device.size },
    };
    const headerBytes = encodeHeader(header);
    const seal = { key: fileKey(options.imageKey, header), headerHash: hashHeader(headerBytes) };
    const draft = await temporaryFile(options.path);
    try {
      const writer = new OrderedWriter(draft.handle);
      await writer.append(headerBytes);
      const counter = new SharedArrayBuffer(4);
      const tasks = allTasks({ ...seal, counter }, device, memory, base, options.baseExtents);
      const pages = await sealAll(tasks, writer, options.pool ?? sharedSealPool(), options.signal);
      const index = writer.written;
      const end = encodeEnd(index + 1, pages.storedPages, pages.zeroPages);
      await writer.append(sealChunk({ ...seal, index, last: true }, CHUNK_KIND.end, end));
      await draft.handle.sync();
      options.signal?.throwIfAborted();
      await draft.moveInto();
      await syncDirectoryOf(options.path);
      return { digest: writer.digest(), bytes: writer.bytes, ...pages };
    } finally {
      await draft.dispose();
    }
  } finally {
    await Promise.all(inputs.map((handle) => handle.close()));
  }
}

type Source = { fd: number; size: number };
type Common = Pick<SealTask & { do: 'seal-device' }, 'key' | 'headerHash' | 'counter'>;

function* allTasks(
  common: Common,
  device: Source,
  memory: Source,
  base: Source,
  extents: readonly Extent[] | undefined,
): Generator<SealTask> {
  for (let offset = 0; offset < device.size; offset += DEVICE_CHUNK_BYTES) {
    const bytes = Math.min(DEVICE_CHUNK_BYTES, device.size - offset);
    yield { do: 'seal-device', fd: device.fd, offset, bytes, ...common };
  }
  let at = 0;
  for (let offset = 0; offset < memory.size; offset += BLOCK_BYTES) {
    const bytes = Math.min(BLOCK_BYTES, memory.size - offset);
    while (extents && at < extents.length && extents[at]![0] + extents[at]![1] <= offset) at++;
    const zero = extents && (at === extents.length || extents[at]![0] >= offset + bytes);
    yield { do: 'seal-memory', fd: memory.fd, baseFd: zero ? undefined : base.fd, offset, bytes, ...common };
  }
}

async function sealAll(
  tasks: Generator<SealTask>,
  writer: OrderedWriter,
  pool: SealPool,
  signal: AbortSignal | undefined,
): Promise<{ storedPages: number; zeroPages: number }> {
  const pages = { storedPages: 0, zeroPages: 0 };
  let failed = false;
  const lane = async (): Promise<void> => {
    try {
      for (const task of tasks) {
        if (failed) return;
        signal?.throwIfAborted();
        const chunk = (await pool.run(task)) as SealedChunk | null;
        if (!chunk) continue;
        pages.storedPages += chunk.storedPages;
        pages.zeroPages += chunk.zeroPages;
        await writer.accept(chunk.index, chunk.frame);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  // Wait for all, also after a failure: the threads still read from the files that the caller closes next.
  const lanes = await Promise.allSettled(Array.from({ length: pool.size * 2 }, lane));
  for (const result of lanes) if (result.status === 'rejected') throw result.reason;
  return pages;
}

function checkSizes(options: SealOptions, device: number, memory: number, base: number): void {
  if (device === 0) throw new Error(`the device state ${options.deviceStatePath} is empty`);
  if (device > MAX_DEVICE_STATE_BYTES) {
    throw new Error(`the device state ${options.deviceStatePath} has ${device} bytes, above ${MAX_DEVICE_STATE_BYTES}`);
  }
  if (memory !== base || memory % PAGE_BYTES !== 0) {
    throw new Error(`the memory has ${memory} bytes and the template's ${base}: they must be equal and whole pages`);
  }
}
