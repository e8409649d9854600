import { randomBytes } from 'node:crypto';
import { constants, open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { syncToDisk } from '../sync-to-disk.js';
import { DraftSync } from './draft-sync.js';
import { readEarlier, type EarlierImage, type Reusable } from './earlier-image.js';
import { writeExactly } from './exact-io.js';
import {
  encodeHeader,
  fileKey,
  FORMAT_VERSION,
  HEADER_BYTES,
  hashHeader,
  MAX_DEVICE_STATE_BYTES,
  PAGE_BYTES,
  SALT_BYTES,
} from './image-header.js';
import {
  DEVICE_CHUNK_BYTES,
  encodeTable,
  PART_BYTES,
  type Frame,
  type ImageTable,
  type PartEntry,
} from './image-table.js';
import { digestOfParts, FIRST_INDEX, sealTail } from './image-tail.js';
import { digestKey } from './part-digest.js';
import { BLOCK_BYTES, draftCounters, nextIndex, nextOffset, type Draft, type SealMemoryTask } from './seal-block.js';
import { runJobs } from './run-jobs.js';
import type { Extent } from './sparse-copy.js';
import { temporaryFile } from './temporary-file.js';
import { sharedSealPool, type SealPool } from './worker-pool.js';

export interface SealOptions {
  /** The image; replaced only by a complete new one. Its directory must exist. */
  path: string;
  /** The sandbox's subkey `image`, 32 bytes. */
  imageKey: Buffer;
  sandboxId: string;
  generation: number;
  templateKey: string;
  /**
   * At most 64 MiB. Absent: the memory alone is sealed ahead of time. That file is good for `earlier` of a later image;
   * nothing opens it as an image.
   */
  deviceStatePath?: string;
  /**
   * With a device state it must not change meanwhile: the guest stands still. Without one it may: each part is read once,
   * and what is stored for it goes with the digest of what was read.
   */
  memoryPath: string;
  /** The template's memory; as large as `memoryPath`. */
  baseMemoryPath: string;
  /** `findExtents(baseMemoryPath)`: saves reading the holes of the template. */
  baseExtents?: readonly Extent[];
  /** What did not change since is referred to there. One that is of no use does no harm. */
  earlier?: EarlierImage;
  /** Aborts within one block's work (some 50 ms). */
  signal?: AbortSignal;
  /** Default: the threads shared by the whole process. */
  pool?: SealPool;
}

export interface SealedImage {
  /** What the image is known by, hex: see `digestOfImage`. */
  digest: string;
  /** Size of the new file. */
  bytes: number;
  /** Generations of the files that the image is made of, its own first: all of them are needed to open it. */
  files: number[];
  /** Pages of 4096 bytes whose content is in the new file. */
  storedPages: number;
  /** Pages that became all zero: marked only. */
  zeroPages: number;
}

/**
 * Writes device state and the memory that differs from the template, and from an earlier image, into one sealed file,
 * durably: when this resolves the file is in its place and survives a power cut. On failure or abort nothing new is left.
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
  const input = async (file: string): Promise<Source> => {
    // The guest's QEMU owns the directory of its memory: what it may put there must not lead elsewhere, nor wait for ever.
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    inputs.push(handle);
    const found = await handle.stat();
    if (!found.isFile()) throw new Error(`${file} is not a file, and cannot be sealed`);
    return { fd: handle.fd, size: found.size };
  };
  try {
    const device = options.deviceStatePath === undefined ? NO_DEVICE_STATE : await input(options.deviceStatePath);
    const memory = await input(options.memoryPath);
    const base = await input(options.baseMemoryPath);
    checkSizes(options, device.size, memory.size, base.size);
    const { imageKey, sandboxId, generation, templateKey } = options;
    const identity = { sandboxId, generation, templateKey, memoryBytes: memory.size };
    const header = { ...identity, formatVersion: FORMAT_VERSION, deviceStateBytes: device.size, salt };
    const headerBytes = encodeHeader(header);
    const seal = { key: fileKey(imageKey, header), headerHash: hashHeader(headerBytes) };
    const earlier = options.earlier && (await readEarlier(options.earlier, imageKey, identity));
    const draft = await temporaryFile(options.path);
    const sync = new DraftSync(draft.handle);
    try {
      writeExactly(draft.handle.fd, headerBytes, 0);
      const counters = draftCounters(FIRST_INDEX, HEADER_BYTES);
      const target = { fd: draft.handle.fd, ...seal, counters };
      const sealed = await sealAll(options, { device, memory, base }, target, earlier, sync);
      const own = { generation, headerHash: seal.headerHash.toString('hex') };
      const table = makeTable(own, sealed, earlier);
      const tailAt = nextOffset(counters);
      const tail = sealTail(seal, encodeTable(table), tailAt, nextIndex(counters));
      writeExactly(draft.handle.fd, tail, tailAt);
      await sync.settle();
      await draft.handle.sync();
      options.signal?.throwIfAborted();
      await draft.moveInto();
      await syncToDisk(path.dirname(options.path));
      return {
        ...{ digest: digestOfParts(headerBytes, tail), bytes: tailAt + tail.length },
        ...{ files: table.files.map((file) => file.generation) },
        ...{ storedPages: sealed.storedPages, zeroPages: sealed.zeroPages },
      };
    } finally {
      await sync.settle().catch(() => undefined);
      await draft.dispose();
    }
  } finally {
    await Promise.all(inputs.map((handle) => handle.close()));
  }
}

interface Source {
  fd: number;
  size: number;
}
/** Never read: it has no bytes. */
const NO_DEVICE_STATE: Source = { fd: -1, size: 0 };

interface Sealed {
  device: Frame[];
  entries: Omit<PartEntry, 'file'>[];
  reused: number[];
  storedPages: number;
  zeroPages: number;
}

/** Everything but table and end, by all threads at once. */
async function sealAll(
  options: SealOptions,
  { device, memory, base }: Record<'device' | 'memory' | 'base', Source>,
  draft: Draft,
  earlier: Reusable | undefined,
  sync: DraftSync,
): Promise<Sealed> {
  const pool = options.pool ?? sharedSealPool();
  const sealed: Sealed = { device: [], entries: [], reused: [], storedPages: 0, zeroPages: 0 };
  const key = digestKey(options.imageKey, options.sandboxId);
  const known = (part: number): string | undefined => earlier?.parts.get(part)?.digest;
  function* allJobs(): Generator<() => Promise<void>> {
    for (let offset = 0; offset < device.size; offset += DEVICE_CHUNK_BYTES) {
      const bytes = Math.min(DEVICE_CHUNK_BYTES, device.size - offset);
      yield async () => {
        sealed.device[offset / DEVICE_CHUNK_BYTES] = await pool.run({
          ...{ do: 'seal-device', draft, fd: device.fd, offset, bytes },
        });
      };
    }
    for (const block of memoryBlocks(memory.size, options.baseExtents)) {
      const parts = Array.from(
        { length: Math.ceil(block.bytes / PART_BYTES) },
        (_, at) => block.offset / PART_BYTES + at,
      );
      const task: SealMemoryTask = {
        ...{ do: 'seal-memory', draft, fd: memory.fd, baseFd: base.fd, digestKey: key },
        ...{ ...block, known: parts.map(known) },
      };
      yield async () => {
        const found = await pool.run(task);
        sealed.entries.push(...found.entries);
        sealed.reused.push(...found.reused);
        sealed.storedPages += found.storedPages;
        sealed.zeroPages += found.zeroPages;
        sync.progress(nextOffset(draft.counters));
      };
    }
  }
  await runJobs(allJobs(), pool.size * 2, options.signal);
  return sealed;
}

interface Block {
  offset: number;
  bytes: number;
  /** Of each part. */
  baseIsZero: boolean[];
}

function* memoryBlocks(size: number, extents: readonly Extent[] | undefined): Generator<Block> {
  let at = 0;
  for (let offset = 0; offset < size; offset += BLOCK_BYTES) {
    const bytes = Math.min(BLOCK_BYTES, size - offset);
    const baseIsZero: boolean[] = [];
    for (let part = offset; part < offset + bytes; part += PART_BYTES) {
      while (extents && at < extents.length && extents[at]![0] + extents[at]![1] <= part) at++;
      baseIsZero.push(extents !== undefined && (at === extents.length || extents[at]![0] >= part + PART_BYTES));
    }
    yield { offset, bytes, baseIsZero };
  }
}

/** New parts and those of earlier files, with the files that are still needed. */
function makeTable(own: ImageTable['files'][0], sealed: Sealed, earlier: Reusable | undefined): ImageTable {
  const reused = sealed.reused.map((part) => earlier!.parts.get(part)!);
  const needed = [...new Set(reused.map(({ file }) => file))].sort((a, b) => a - b);
  const numbers = new Map(needed.map((file, at) => [file, at + 1]));
  return {
    files: [own, ...needed.map((file) => earlier!.files[file]!)],
    device: sealed.device,
    parts: [
      ...sealed.entries.map((entry) => ({ ...entry, file: 0 })),
      ...reused.map((entry) => ({ ...entry, file: numbers.get(entry.file)! })),
    ].sort((a, b) => a.part - b.part),
  };
}

function checkSizes(options: SealOptions, device: number, memory: number, base: number): void {
  if (device === 0 && options.deviceStatePath !== undefined) {
    throw new Error(`the device state ${options.deviceStatePath} is empty`);
  }
  if (device > MAX_DEVICE_STATE_BYTES) {
    throw new Error(`the device state ${options.deviceStatePath} has ${device} bytes, above ${MAX_DEVICE_STATE_BYTES}`);
  }
  if (memory !== base || memory % PAGE_BYTES !== 0) {
    throw new Error(`the memory has ${memory} bytes and the template's ${base}: they must be equal and whole pages`);
  }
}
