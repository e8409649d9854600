import type { KeyObject } from 'node:crypto';
import { CHUNK_KIND, openChunk } from './chunk.js';
import { writeExactly } from './exact-io.js';
import { FormatError } from './image-error.js';
import { DEVICE_OFFSET_BYTES } from './image-table.js';
import { applyBlock } from './memory-block.js';

/** One chunk of an image of format version 1. */
export interface OpenChunkTask {
  do: 'open-1';
  key: KeyObject;
  headerHash: Uint8Array;
  sealed: Uint8Array;
  index: number;
  last: boolean;
  memoryFd: number;
  memoryBytes: number;
  deviceState: SharedArrayBuffer;
}
export type OpenedChunk =
  | { kind: 'memory'; offset: number; bytes: number; storedPages: number; zeroPages: number }
  | { kind: 'device'; offset: number; bytes: number }
  | { kind: 'end'; chunks: number; storedPages: number; zeroPages: number };

const END_BYTES = 24;

export function openChunk1(task: OpenChunkTask): OpenedChunk {
  const { sealed } = task;
  const { kind, payload } = openChunk(task, Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength));
  if ((kind === CHUNK_KIND.end) !== task.last) throw new FormatError(`chunk ${task.index} is out of place`);
  if (kind === CHUNK_KIND.memory) {
    const applied = applyBlock(payload, task.memoryBytes, (data, at) => writeExactly(task.memoryFd, data, at));
    return { kind: 'memory', ...applied };
  }
  if (kind === CHUNK_KIND.device) {
    const data = payload.subarray(DEVICE_OFFSET_BYTES);
    if (data.length < 1) throw new FormatError('a device chunk is empty');
    const offset = Number(payload.readBigUInt64LE(0));
    if (offset + data.length > task.deviceState.byteLength) {
      throw new FormatError('a device chunk lies outside the device state');
    }
    new Uint8Array(task.deviceState).set(data, offset);
    return { kind: 'device', offset, bytes: data.length };
  }
  if (kind !== CHUNK_KIND.end) throw new FormatError(`chunk ${task.index} is of an unknown kind`);
  if (payload.length !== END_BYTES) throw new FormatError('the last chunk has a wrong length');
  const [chunks, storedPages, zeroPages] = [0, 8, 16].map((at) => Number(payload.readBigUInt64LE(at)));
  return { kind: 'end', chunks: chunks!, storedPages: storedPages!, zeroPages: zeroPages! };
}
