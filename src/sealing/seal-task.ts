import type { KeyObject } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { alignedBuffer } from './aligned-buffer.js';
import { CHUNK_KIND, openChunk, sealChunk } from './chunk.js';
import { FormatError } from './image-error.js';
import { applyBlock, diffBlock, MAX_PAYLOAD_BYTES } from './memory-block.js';

/**
 * What a worker thread does, one message each. File descriptors are the process's: whoever sends a task keeps them
 * open until it is answered.
 */
interface Sealing {
  key: KeyObject;
  headerHash: Uint8Array;
}
export type SealTask = Sealing &
  (
    | {
        do: 'seal-memory';
        fd: number;
        /** Undefined: the base is known to be zero here, and not read. */
        baseFd: number | undefined;
        offset: number;
        bytes: number;
        counter: SharedArrayBuffer;
      }
    | { do: 'seal-device'; fd: number; offset: number; bytes: number; counter: SharedArrayBuffer }
    | {
        do: 'open';
        sealed: Uint8Array;
        index: number;
        last: boolean;
        memoryFd: number;
        memoryBytes: number;
        deviceState: SharedArrayBuffer;
      }
  );

/** `index` of a sealed chunk is drawn from the shared counter, so that chunks are numbered without gaps. */
export type SealedChunk = { index: number; frame: Uint8Array<ArrayBuffer>; storedPages: number; zeroPages: number };
export type OpenedChunk =
  | { kind: 'memory'; offset: number; bytes: number; storedPages: number; zeroPages: number }
  | { kind: 'device'; offset: number; bytes: number }
  | { kind: 'end'; chunks: number; storedPages: number; zeroPages: number };
export type TaskResult = SealedChunk | OpenedChunk | null;

const DEVICE_OFFSET_BYTES = 8;
const END_BYTES = 24;

let memoryBlock: Buffer = Buffer.alloc(0);
let baseBlock: Buffer = Buffer.alloc(0);
let zeroBlock: Buffer = Buffer.alloc(0);
let scratch: Buffer = Buffer.alloc(0);

/** @returns for sealing: the chunk, or null when there is nothing to store; for opening: what it was */
export function runTask(task: SealTask): TaskResult {
  if (scratch.length === 0) scratch = alignedBuffer(MAX_PAYLOAD_BYTES);
  switch (task.do) {
    case 'seal-memory': {
      if (memoryBlock.length < task.bytes) {
        memoryBlock = alignedBuffer(task.bytes);
        baseBlock = alignedBuffer(task.bytes);
        zeroBlock = alignedBuffer(task.bytes);
      }
      const memory = readExactly(task.fd, memoryBlock.subarray(0, task.bytes), task.offset);
      const base =
        task.baseFd === undefined
          ? zeroBlock.subarray(0, task.bytes)
          : readExactly(task.baseFd, baseBlock.subarray(0, task.bytes), task.offset);
      const difference = diffBlock(memory, base, task.offset, scratch);
      if (!difference) return null;
      return { ...numbered(task, CHUNK_KIND.memory, difference.payload), ...counts(difference) };
    }
    case 'seal-device': {
      scratch.writeBigUInt64LE(BigInt(task.offset), 0);
      readExactly(task.fd, scratch.subarray(DEVICE_OFFSET_BYTES, DEVICE_OFFSET_BYTES + task.bytes), task.offset);
      const payload = scratch.subarray(0, DEVICE_OFFSET_BYTES + task.bytes);
      return { ...numbered(task, CHUNK_KIND.device, payload), storedPages: 0, zeroPages: 0 };
    }
    case 'open':
      return open(task);
  }
}

/** The payload of the last chunk: how many chunks there are, itself included, and how many pages. */
export function encodeEnd(chunks: number, storedPages: number, zeroPages: number): Buffer {
  const payload = Buffer.alloc(END_BYTES);
  [chunks, storedPages, zeroPages].forEach((value, at) => payload.writeBigUInt64LE(BigInt(value), at * 8));
  return payload;
}

function open(task: SealTask & { do: 'open' }): OpenedChunk {
  const { sealed } = task;
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const { kind, payload } = openChunk(task, bytes);
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
  if (payload.length !== END_BYTES) throw new FormatError('the last chunk has a wrong length');
  const [chunks, storedPages, zeroPages] = [0, 8, 16].map((at) => Number(payload.readBigUInt64LE(at)));
  return { kind: 'end', chunks: chunks!, storedPages: storedPages!, zeroPages: zeroPages! };
}

function numbered(
  task: Sealing & { counter: SharedArrayBuffer },
  kind: 1 | 2,
  payload: Buffer,
): { index: number; frame: Uint8Array<ArrayBuffer> } {
  const index = Atomics.add(new Uint32Array(task.counter), 0, 1);
  return { index, frame: sealChunk({ ...task, index, last: false }, kind, payload) };
}

const counts = <T extends { storedPages: number; zeroPages: number }>({ storedPages, zeroPages }: T) => ({
  storedPages,
  zeroPages,
});

function readExactly(fd: number, into: Buffer, position: number): Buffer {
  for (let at = 0; at < into.length;) {
    const read = readSync(fd, into, at, into.length - at, position + at);
    if (read === 0) throw new Error('a memory or device state file became shorter while it was being sealed');
    at += read;
  }
  return into;
}

function writeExactly(fd: number, data: Buffer, position: number): void {
  for (let at = 0; at < data.length;) at += writeSync(fd, data, at, data.length - at, position + at);
}
