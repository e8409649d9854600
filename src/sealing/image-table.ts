import { MIN_SEALED_BYTES, SEAL_BYTES } from './chunk.js';
import { FormatError } from './image-error.js';
import { HEADER_BYTES, PAGE_BYTES, type ImageHeader } from './image-header.js';
import { payloadBytes } from './memory-block.js';

/** What is stored, and referred to, as a whole: 256 KiB of memory; the last one of a memory may be shorter. */
export const PART_PAGES = 64;
export const PART_BYTES = PART_PAGES * PAGE_BYTES;
export const MAX_PART_FRAME_BYTES = SEAL_BYTES + payloadBytes(PART_PAGES, PART_PAGES);
export const DEVICE_CHUNK_BYTES = 1024 * 1024;
export const DEVICE_OFFSET_BYTES = 8;
const MAX_DEVICE_FRAME_BYTES = SEAL_BYTES + DEVICE_OFFSET_BYTES + DEVICE_CHUNK_BYTES;

/** An image may refer to this many files, itself included. */
export const MAX_FILES = 8;

const FIXED_BYTES = 16;
const FILE_BYTES = 40;
const DEVICE_BYTES = 16;
const PART_ENTRY_BYTES = 40;

/** Where a sealed chunk stands in a file. */
export interface Frame {
  index: number;
  /** From the start of the file, bytes. */
  offset: number;
  /** Ciphertext and tag, bytes. */
  length: number;
}
export interface PartEntry extends Frame {
  /** Number of the part in the memory. */
  part: number;
  /** Number of the file in the table. */
  file: number;
  /** See `part-digest.ts`. */
  digest: string;
}
export interface FileEntry {
  generation: number;
  /** SHA-256 of its header, hex: fixes its salt, and so its key. */
  headerHash: string;
}

/** What an image is made of. */
export interface ImageTable {
  /** The image's own file first. */
  files: FileEntry[];
  /** 1 MiB of device state each, in order; in the image's own file. */
  device: Frame[];
  /** Parts that differ from the template, ascending. */
  parts: PartEntry[];
}

export const partCount = (memoryBytes: number): number => Math.ceil(memoryBytes / PART_BYTES);
const deviceCount = (deviceStateBytes: number): number => Math.ceil(deviceStateBytes / DEVICE_CHUNK_BYTES);

const tableBytes = (files: number, device: number, parts: number): number =>
  FIXED_BYTES + files * FILE_BYTES + device * DEVICE_BYTES + parts * PART_ENTRY_BYTES;

/** No table of an image with this header is larger. */
export const maxTableBytes = (header: ImageHeader): number =>
  tableBytes(MAX_FILES, deviceCount(header.deviceStateBytes), partCount(header.memoryBytes));

export function encodeTable({ files, device, parts }: ImageTable): Buffer {
  const bytes = Buffer.alloc(tableBytes(files.length, device.length, parts.length));
  [files.length, device.length, parts.length].forEach((count, at) => bytes.writeUInt32LE(count, at * 4));
  let at = FIXED_BYTES;
  for (const { generation, headerHash } of files) {
    bytes.writeBigUInt64LE(BigInt(generation), at);
    bytes.write(headerHash, at + 8, 'hex');
    at += FILE_BYTES;
  }
  for (const frame of device) at = writeFrame(bytes, at, frame);
  for (const entry of parts) {
    bytes.writeUInt32LE(entry.part, at);
    bytes.writeUInt32LE(entry.file, at + 4);
    at = writeFrame(bytes, at + 8, entry);
    at += bytes.write(entry.digest, at, 'hex');
  }
  return bytes;
}

/**
 * @param own of the image that the table stands in; `framesEnd`: where its frames of parts and device state end
 * @throws FormatError if the table contradicts itself or its image
 */
export function decodeTable(
  bytes: Buffer,
  own: { header: ImageHeader; headerHash: string; framesEnd: number },
): ImageTable {
  if (bytes.length < FIXED_BYTES) throw new FormatError('its table is too short');
  const [files, device, parts] = [0, 4, 8].map((at) => bytes.readUInt32LE(at)) as [number, number, number];
  const { header } = own;
  const possible =
    files >= 1 &&
    files <= MAX_FILES &&
    device === deviceCount(header.deviceStateBytes) &&
    parts <= partCount(header.memoryBytes) &&
    bytes.readUInt32LE(12) === 0;
  if (!possible || bytes.length !== tableBytes(files, device, parts)) {
    throw new FormatError('its table does not have the size that it says');
  }
  const deviceAt = FIXED_BYTES + files * FILE_BYTES;
  const partsAt = deviceAt + device * DEVICE_BYTES;
  const table: ImageTable = {
    files: each(files, (at) => readFile(bytes, FIXED_BYTES + at * FILE_BYTES)),
    device: each(device, (at) => readFrame(bytes, deviceAt + at * DEVICE_BYTES)),
    parts: each(parts, (at) => readPart(bytes, partsAt + at * PART_ENTRY_BYTES)),
  };
  checkFiles(table, header.generation, own.headerHash);
  checkParts(table, partCount(header.memoryBytes));
  checkOwnFrames(table, own.framesEnd);
  return table;
}

function checkFiles({ files, parts }: ImageTable, generation: number, headerHash: string): void {
  const generations = new Set(files.map((file) => file.generation));
  const used = new Set([0, ...parts.map(({ file }) => file)]);
  if (
    files[0]!.generation !== generation ||
    files[0]!.headerHash !== headerHash ||
    files.slice(1).some((file) => file.generation >= generation) ||
    generations.size !== files.length ||
    used.size !== files.length ||
    Math.max(...used) >= files.length
  ) {
    throw new FormatError('the files that its table names are not what it is made of');
  }
}

function checkParts({ parts, device }: ImageTable, count: number): void {
  let next = 0;
  for (const { part, offset, length } of parts) {
    if (part < next || part >= count) throw new FormatError('its table names a part twice, or one that is not there');
    checkFrame(offset, length, MAX_PART_FRAME_BYTES);
    next = part + 1;
  }
  for (const { offset, length } of device) checkFrame(offset, length, MAX_DEVICE_FRAME_BYTES);
}

function checkFrame(offset: number, length: number, limit: number): void {
  if (offset >= HEADER_BYTES && length >= MIN_SEALED_BYTES && length <= limit) return;
  throw new FormatError('its table gives a chunk an impossible place');
}

/** Every byte between header and table belongs to one chunk: nothing of an image can be changed without notice. */
function checkOwnFrames({ parts, device }: ImageTable, framesEnd: number): void {
  const own = [...device, ...parts.filter(({ file }) => file === 0)].sort((a, b) => a.offset - b.offset);
  let end = HEADER_BYTES;
  for (const { offset, length } of own) {
    if (offset !== end) throw new FormatError('the chunks of its table do not fill the file');
    end += length;
  }
  if (end !== framesEnd) throw new FormatError('the chunks of its table do not fill the file');
}

const each = <T>(count: number, read: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => read(at));

const readFile = (bytes: Buffer, at: number): FileEntry => ({
  generation: Number(bytes.readBigUInt64LE(at)),
  headerHash: bytes.toString('hex', at + 8, at + FILE_BYTES),
});

const readFrame = (bytes: Buffer, at: number): Frame => ({
  index: bytes.readUInt32LE(at),
  length: bytes.readUInt32LE(at + 4),
  offset: Number(bytes.readBigUInt64LE(at + 8)),
});

const readPart = (bytes: Buffer, at: number): PartEntry => ({
  part: bytes.readUInt32LE(at),
  file: bytes.readUInt32LE(at + 4),
  ...readFrame(bytes, at + 8),
  digest: bytes.toString('hex', at + 24, at + PART_ENTRY_BYTES),
});

/** @returns where it ends */
function writeFrame(bytes: Buffer, at: number, { index, length, offset }: Frame): number {
  bytes.writeUInt32LE(index, at);
  bytes.writeUInt32LE(length, at + 4);
  return bytes.writeBigUInt64LE(BigInt(offset), at + 8);
}
