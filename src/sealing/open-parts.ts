import type { KeyObject } from 'node:crypto';
import { alignedBuffer } from './aligned-buffer.js';
import { CHUNK_KIND, openChunk, type ChunkKind } from './chunk.js';
import { readExactly, writeExactly } from './exact-io.js';
import { FormatError } from './image-error.js';
import { DEVICE_CHUNK_BYTES, DEVICE_OFFSET_BYTES, PART_BYTES, type Frame, type PartEntry } from './image-table.js';
import { applyBlock, MAX_PAYLOAD_BYTES } from './memory-block.js';

/** A file of an image, as a thread needs it. */
export interface SourceFile {
  path: string;
  fd: number;
  key: KeyObject;
  headerHash: Uint8Array;
}
export interface OpenPartsTask {
  do: 'open-parts';
  /** By their numbers in the table. */
  files: Record<number, SourceFile>;
  /** Together at most MAX_OPEN_BYTES. */
  parts: PartEntry[];
  memoryFd: number;
  memoryBytes: number;
}
export interface OpenDeviceTask {
  do: 'open-device';
  file: SourceFile;
  frame: Frame;
  /** Number of the chunk: `number` MiB into the device state. */
  number: number;
  deviceState: SharedArrayBuffer;
}

/** One read takes no more than this. */
export const MAX_OPEN_BYTES = MAX_PAYLOAD_BYTES;
let frames: Buffer = Buffer.alloc(0);

/** Opens parts and applies them to the memory; frames that are neighbours in their file are read at once. */
export function openParts({ files, parts, memoryFd, memoryBytes }: OpenPartsTask): void {
  for (let from = 0; from < parts.length;) {
    const { file: number, offset } = parts[from]!;
    let to = from;
    let end = offset;
    while (to < parts.length && parts[to]!.file === number && parts[to]!.offset === end) end += parts[to++]!.length;
    const file = files[number]!;
    const run = read(file, offset, end - offset);
    for (const entry of parts.slice(from, to)) {
      const at = entry.offset - offset;
      blaming(file, () => {
        const payload = open(file, entry, CHUNK_KIND.memory, run.subarray(at, at + entry.length));
        checkPlace(payload, entry.part, memoryBytes);
        applyBlock(payload, memoryBytes, (data, position) => writeExactly(memoryFd, data, position));
      });
    }
    from = to;
  }
}

export function openDevice({ file, frame, number, deviceState }: OpenDeviceTask): void {
  const sealed = read(file, frame.offset, frame.length);
  blaming(file, () => {
    const payload = open(file, frame, CHUNK_KIND.device, sealed);
    const start = number * DEVICE_CHUNK_BYTES;
    const bytes = Math.min(DEVICE_CHUNK_BYTES, deviceState.byteLength - start);
    if (payload.length !== DEVICE_OFFSET_BYTES + bytes || payload.readBigUInt64LE(0) !== BigInt(start)) {
      throw new FormatError(`chunk ${frame.index} is not the device state that the table says`);
    }
    new Uint8Array(deviceState).set(payload.subarray(DEVICE_OFFSET_BYTES), start);
  });
}

function checkPlace(payload: Buffer, part: number, memoryBytes: number): void {
  const start = part * PART_BYTES;
  const bytes = Math.min(PART_BYTES, memoryBytes - start);
  if (payload.length >= 16 && payload.readBigUInt64LE(0) === BigInt(start) && payload.readUInt32LE(8) * 4096 === bytes)
    return;
  throw new FormatError(`a chunk is not part ${part} of the memory, as the table says`);
}

function open(file: SourceFile, { index }: Frame, kind: ChunkKind, sealed: Buffer): Buffer {
  const chunk = openChunk({ ...file, index, last: false }, sealed);
  if (chunk.kind !== kind) throw new FormatError(`chunk ${index} is out of place`);
  return chunk.payload;
}

function read(file: SourceFile, position: number, length: number): Buffer {
  if (frames.length === 0) frames = alignedBuffer(MAX_OPEN_BYTES);
  return readExactly(
    file.fd,
    frames.subarray(0, length),
    position,
    () => new FormatError('it is cut short', file.path),
  );
}

function blaming(file: SourceFile, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw error instanceof FormatError ? new FormatError(error.message, file.path) : error;
  }
}
