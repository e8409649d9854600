import type { KeyObject } from 'node:crypto';
import { alignedBuffers } from './aligned-buffer.js';
import { CHUNK_KIND, sealChunk, type ChunkKind } from './chunk.js';
import { readExactly, writeExactly } from './exact-io.js';
import {
  DEVICE_CHUNK_BYTES,
  DEVICE_OFFSET_BYTES,
  MAX_PART_FRAME_BYTES,
  PART_BYTES,
  type Frame,
  type PartEntry,
} from './image-table.js';
import { isHole } from './hole.js';
import { diffBlock } from './memory-block.js';
import { partDigest } from './part-digest.js';

/** Parts that one task takes: few messages, and enough tasks to balance two threads. */
const BLOCK_PARTS = 32;
export const BLOCK_BYTES = BLOCK_PARTS * PART_BYTES;
/** Of new parts so many are written at once, while the processor's caches still have them. */
const WRITTEN_PARTS = 8;

/** A draft that several threads write to at once. */
export interface Draft {
  fd: number;
  key: KeyObject;
  headerHash: Uint8Array;
  /** See `draftCounters`. */
  counters: SharedArrayBuffer;
}
export interface SealMemoryTask {
  do: 'seal-memory';
  draft: Draft;
  fd: number;
  baseFd: number;
  /** For each part of the block: the base is known to be zero there, and not read. */
  baseIsZero: boolean[];
  /** Of the block, in the memory; a multiple of BLOCK_BYTES. */
  offset: number;
  bytes: number;
  digestKey: KeyObject;
  /** For each part of the block: its digest in the earlier image, if it may be reused. */
  known: (string | undefined)[];
}
export interface SealDeviceTask {
  do: 'seal-device';
  draft: Draft;
  fd: number;
  offset: number;
  bytes: number;
}
export interface SealedBlock {
  entries: Omit<PartEntry, 'file'>[];
  /** Numbers of the parts that are as they were in the earlier image. */
  reused: number[];
  storedPages: number;
  zeroPages: number;
}

/** Two counters that all threads draw from: the next chunk's index, and where in the file the next frames go. */
export function draftCounters(firstIndex: number, offset: number): SharedArrayBuffer {
  const counters = new SharedArrayBuffer(16);
  const view = new BigInt64Array(counters);
  view[0] = BigInt(firstIndex);
  view[1] = BigInt(offset);
  return counters;
}
const draw = (counters: SharedArrayBuffer, which: 0 | 1, count: number): number =>
  Number(Atomics.add(new BigInt64Array(counters), which, BigInt(count)));
export const nextIndex = (counters: SharedArrayBuffer): number => draw(counters, 0, 0);
export const nextOffset = (counters: SharedArrayBuffer): number => draw(counters, 1, 0);

interface Scratch {
  memory: Buffer;
  base: Buffer;
  zero: Buffer;
  payload: Buffer;
  frames: Buffer;
}
let scratch: Scratch | undefined;

function buffers(): Scratch {
  if (scratch === undefined) {
    const frameBytes = WRITTEN_PARTS * MAX_PART_FRAME_BYTES;
    const sizes = [PART_BYTES, PART_BYTES, PART_BYTES, DEVICE_OFFSET_BYTES + DEVICE_CHUNK_BYTES, frameBytes] as const;
    const [memory, base, zero, payload, frames] = alignedBuffers(sizes);
    scratch = { memory, base, zero, payload, frames };
  }
  return scratch;
}

/** Compares a block with the earlier image and the template, and writes what is new into the draft. */
export function sealBlock(task: SealMemoryTask): SealedBlock {
  const { memory, payload, frames } = buffers();
  const sealed: SealedBlock = { entries: [], reused: [], storedPages: 0, zeroPages: 0 };
  let end = 0;
  let written = 0;
  const flush = (): void => {
    const start = write(task.draft, frames.subarray(0, end));
    for (; written < sealed.entries.length; written += 1) sealed.entries[written]!.offset += start;
    end = 0;
  };
  for (let at = 0; at < task.bytes; at += PART_BYTES) {
    const offset = task.offset + at;
    const bytes = Math.min(PART_BYTES, task.bytes - at);
    const known = task.known[at / PART_BYTES];
    const part = offset / PART_BYTES;
    if (known === undefined && task.baseIsZero[at / PART_BYTES] === true && isHole(task.fd, offset, bytes)) continue;
    const content = read(task.fd, memory.subarray(0, bytes), offset);
    const digest = known === undefined ? undefined : partDigest(task.digestKey, content);
    if (digest !== undefined && digest === known) {
      sealed.reused.push(part);
      continue;
    }
    const difference = diffBlock(content, baseOf(task, at, bytes), offset, payload);
    if (!difference) continue;
    const { index, length } = seal(task.draft, CHUNK_KIND.memory, difference.payload, frames, end);
    sealed.entries.push({ part, index, offset: end, length, digest: digest ?? partDigest(task.digestKey, content) });
    sealed.storedPages += difference.storedPages;
    sealed.zeroPages += difference.zeroPages;
    end += length;
    if (sealed.entries.length - written === WRITTEN_PARTS) flush();
  }
  flush();
  return sealed;
}

/** @param task `bytes`: at most DEVICE_CHUNK_BYTES */
export function sealDevice(task: SealDeviceTask): Frame {
  const { payload, frames } = buffers();
  if (task.bytes > DEVICE_CHUNK_BYTES) throw new Error('a chunk of device state is too large');
  payload.writeBigUInt64LE(BigInt(task.offset), 0);
  read(task.fd, payload.subarray(DEVICE_OFFSET_BYTES, DEVICE_OFFSET_BYTES + task.bytes), task.offset);
  const whole = payload.subarray(0, DEVICE_OFFSET_BYTES + task.bytes);
  const { index, length } = seal(task.draft, CHUNK_KIND.device, whole, frames, 0);
  return { index, length, offset: write(task.draft, frames.subarray(0, length)) };
}

/** @param at of the part in the block */
function baseOf(task: SealMemoryTask, at: number, bytes: number): Buffer {
  const { base, zero } = buffers();
  if (task.baseIsZero[at / PART_BYTES] === true) return zero.subarray(0, bytes);
  return read(task.baseFd, base.subarray(0, bytes), task.offset + at);
}

function seal(draft: Draft, kind: ChunkKind, payload: Buffer, into: Buffer, at: number): Omit<Frame, 'offset'> {
  const index = draw(draft.counters, 0, 1);
  return { index, length: sealChunk({ ...draft, index, last: false }, kind, payload, into, at) };
}

function write(draft: Draft, frames: Buffer): number {
  const offset = draw(draft.counters, 1, frames.length);
  writeExactly(draft.fd, frames, offset);
  return offset;
}

const read = (fd: number, into: Buffer, position: number): Buffer =>
  readExactly(
    fd,
    into,
    position,
    () => new Error('a memory or device state file became shorter while it was being sealed'),
  );
