import { open, unlink, type FileHandle } from 'node:fs/promises';
import { alignedBuffer } from './aligned-buffer.js';
import { runJobs } from './run-jobs.js';

/** A range of a file: [offset, length], bytes. */
export type Extent = [offset: number, length: number];

const PAGE_BYTES = 4096;
const WINDOW_BYTES = 1024 * 1024;
/** Holes below this size are copied along: a system call costs more than a few pages. */
const MIN_HOLE_BYTES = 32 * 1024;
/** Enough to keep two cores busy without filling libuv's pool of four, which libvirt's calls need too. */
const LANES = 3;
const ZERO = Buffer.alloc(WINDOW_BYTES);
const idleBuffers: Buffer[] = [];

export interface CopyOptions {
  /** Aborts between two windows of 1 MiB; the copy is removed. */
  signal?: AbortSignal;
  /** Mode of the copy, default 0600. */
  mode?: number;
}

/**
 * Where a file is not zero. Reads all of it: compute once per template and keep.
 *
 * @returns ascending, not touching each other, page-aligned except for the end of the file
 */
export async function findExtents(path: string): Promise<Extent[]> {
  const source = await open(path, 'r');
  try {
    const { size } = await source.stat();
    const extents: Extent[] = [];
    const buffer = idleBuffers.pop() ?? alignedBuffer(WINDOW_BYTES);
    for (let at = 0; at < size; at += WINDOW_BYTES) {
      const window = await readWindow(source, buffer, at, Math.min(size, at + WINDOW_BYTES));
      for (const [offset, length] of dataRuns(window)) append(extents, at + offset, length);
    }
    idleBuffers.push(buffer);
    return extents;
  } finally {
    await source.close();
  }
}

/**
 * Copies a file of mostly zeros; zeros become holes. The copy must not exist yet.
 *
 * @param extents what `findExtents` said of `source`; without it the zeros are looked for while copying (slower).
 *   What lies outside the extents is not read: a wrong list makes a wrong copy.
 * @throws errors of the file system (`EEXIST` if `destination` is there), or the signal's reason; the copy is removed
 */
export async function copySparse(
  source: string,
  destination: string,
  extents?: readonly Extent[],
  options: CopyOptions = {},
): Promise<void> {
  options.signal?.throwIfAborted();
  const from = await open(source, 'r');
  try {
    const to = await open(destination, 'wx', options.mode ?? 0o600);
    try {
      await copyInto(from, to, extents, options.signal);
    } catch (error) {
      await unlink(destination).catch(() => undefined);
      throw error;
    } finally {
      await to.close();
    }
  } finally {
    await from.close();
  }
}

/** `copySparse` between open files; `to` must hold nothing but zeros. Gets the size of `from`. */
export async function copyInto(
  from: FileHandle,
  to: FileHandle,
  extents?: readonly Extent[],
  signal?: AbortSignal,
): Promise<void> {
  const { size } = await from.stat();
  await to.truncate(size);
  const windows = extents ? groupByWindow(extents, size) : everyWindow(size);
  const copyWindow = async ({ start, end, pieces }: Window): Promise<void> => {
    const buffer = idleBuffers.pop() ?? alignedBuffer(WINDOW_BYTES);
    try {
      const window = await readWindow(from, buffer, start, end);
      for (const [offset, length] of pieces ?? dataRuns(window)) await writeAll(to, window, offset, length, start);
    } finally {
      idleBuffers.push(buffer);
    }
  };
  function* jobs(): Generator<() => Promise<void>> {
    for (const window of windows) yield () => copyWindow(window);
  }
  // None runs any more when this settles: the caller closes the files, and a reused descriptor would be written to.
  await runJobs(jobs(), LANES, signal);
}

interface Window {
  start: number;
  end: number;
  /** Relative to `start`. */
  pieces?: Extent[];
}

function* everyWindow(size: number): Generator<Window> {
  for (let start = 0; start < size; start += WINDOW_BYTES) yield { start, end: Math.min(size, start + WINDOW_BYTES) };
}

/** One read for all the extents in a window, then one write for each. */
function* groupByWindow(extents: readonly Extent[], size: number): Generator<Window> {
  let current: (Window & { pieces: Extent[] }) | undefined;
  for (const [offset, length] of extents) {
    if (offset < 0 || length <= 0 || offset + length > size) throw new RangeError('an extent lies outside the file');
    for (let at = offset; at < offset + length;) {
      const end = Math.min(offset + length, (Math.floor(at / WINDOW_BYTES) + 1) * WINDOW_BYTES);
      if (current && Math.floor(current.start / WINDOW_BYTES) === Math.floor(at / WINDOW_BYTES)) {
        current.pieces.push([at - current.start, end - at]);
        current.end = end;
      } else {
        if (current) yield current;
        current = { start: at, end, pieces: [[0, end - at]] };
      }
      at = end;
    }
  }
  if (current) yield current;
}

function dataRuns(window: Buffer): Extent[] {
  const runs: Extent[] = [];
  if (isZero(window, 0, window.length)) return runs;
  for (let at = 0; at < window.length; at += PAGE_BYTES) {
    const end = Math.min(window.length, at + PAGE_BYTES);
    if (!isZero(window, at, end)) append(runs, at, end - at);
  }
  return runs;
}

function append(runs: Extent[], offset: number, length: number): void {
  const last = runs.at(-1);
  if (last && offset - (last[0] + last[1]) < MIN_HOLE_BYTES) last[1] = offset + length - last[0];
  else runs.push([offset, length]);
}

const isZero = (buffer: Buffer, from: number, to: number): boolean =>
  buffer.compare(ZERO, 0, to - from, from, to) === 0;

async function readWindow(source: FileHandle, buffer: Buffer, start: number, end: number): Promise<Buffer> {
  const window = buffer.subarray(0, end - start);
  for (let at = 0; at < window.length;) {
    const { bytesRead } = await source.read(window, at, window.length - at, start + at);
    if (bytesRead === 0) throw new Error('the file became shorter while it was being copied');
    at += bytesRead;
  }
  return window;
}

async function writeAll(to: FileHandle, data: Buffer, offset: number, length: number, base: number): Promise<void> {
  for (let at = offset; at < offset + length;) {
    at += (await to.write(data, at, offset + length - at, base + at)).bytesWritten;
  }
}
