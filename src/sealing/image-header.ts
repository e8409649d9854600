import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { open } from 'node:fs/promises';
import { expandKey } from '../keys/derive.js';
import { FormatError, ImageDamagedError } from './image-error.js';

/** See docs/sealed-format.md for the bytes. A change of any of these is a new format version. */
export const FORMAT_VERSION = 2;
/** Still read, by `open-image-1.ts`. */
const READABLE_VERSIONS: readonly number[] = [1, FORMAT_VERSION];
export const HEADER_BYTES = 512;
export const PAGE_BYTES = 4096;
export const MAX_DEVICE_STATE_BYTES = 64 * 1024 * 1024;
export const MAX_MEMORY_BYTES = 2 ** 40;
export const MAX_SANDBOX_ID_BYTES = 64;
export const MAX_TEMPLATE_KEY_BYTES = 256;
export const SALT_BYTES = 32;

const MAGIC = Buffer.from('DORMOUSE', 'latin1');
const AT = { version: 8, headerBytes: 12, salt: 16, generation: 48, memory: 56, device: 64, pageBytes: 72 } as const;
const STRINGS_AT = 80;

export interface ImageHeader {
  formatVersion: number;
  sandboxId: string;
  /** Rises with every pause of the sandbox. */
  generation: number;
  /** Content key of the template whose memory the image is the difference from. */
  templateKey: string;
  /** Size of the guest's memory, bytes; a multiple of 4096. */
  memoryBytes: number;
  /** Size of the device state file, bytes. */
  deviceStateBytes: number;
  /** 32 random bytes, new for every file. */
  salt: Buffer;
}

/** @returns 512 bytes; @throws FormatError for values out of their bounds */
export function encodeHeader(header: ImageHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(header.formatVersion, AT.version);
  bytes.writeUInt32LE(HEADER_BYTES, AT.headerBytes);
  header.salt.copy(bytes, AT.salt);
  bytes.writeBigUInt64LE(BigInt(header.generation), AT.generation);
  bytes.writeBigUInt64LE(BigInt(header.memoryBytes), AT.memory);
  bytes.writeBigUInt64LE(BigInt(header.deviceStateBytes), AT.device);
  bytes.writeUInt32LE(PAGE_BYTES, AT.pageBytes);
  const id = boundedText(header.sandboxId, MAX_SANDBOX_ID_BYTES, 'sandbox id');
  const template = boundedText(header.templateKey, MAX_TEMPLATE_KEY_BYTES, 'template key');
  bytes.writeUInt16LE(id.length, STRINGS_AT - 4);
  bytes.writeUInt16LE(template.length, STRINGS_AT - 2);
  id.copy(bytes, STRINGS_AT);
  template.copy(bytes, STRINGS_AT + id.length);
  // One set of rules for both directions: what cannot be read back is not written.
  if (header.salt.length !== SALT_BYTES) throw new FormatError(`the salt must be ${SALT_BYTES} bytes long`);
  decodeHeader(bytes);
  return bytes;
}

/**
 * Checks the form of a header; whether it is genuine shows only when the chunks open.
 *
 * @throws FormatError saying what is wrong
 */
export function decodeHeader(bytes: Buffer): ImageHeader {
  if (bytes.length !== HEADER_BYTES) throw new FormatError(`it is too short to hold a header`);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new FormatError('it is not a sealed image (wrong magic)');
  const formatVersion = bytes.readUInt32LE(AT.version);
  if (!READABLE_VERSIONS.includes(formatVersion)) {
    throw new FormatError(`it has format version ${formatVersion}; this program reads ${READABLE_VERSIONS.join(', ')}`);
  }
  if (bytes.readUInt32LE(AT.headerBytes) !== HEADER_BYTES) throw new FormatError('its header has a wrong length');
  if (bytes.readUInt32LE(AT.pageBytes) !== PAGE_BYTES) throw new FormatError('its page size is not 4096');
  const generation = boundedNumber(bytes, AT.generation, Number.MAX_SAFE_INTEGER, 'generation');
  const memoryBytes = boundedNumber(bytes, AT.memory, MAX_MEMORY_BYTES, 'memory size');
  if (memoryBytes % PAGE_BYTES !== 0) throw new FormatError(`its memory size ${memoryBytes} is not whole pages`);
  const deviceStateBytes = boundedNumber(bytes, AT.device, MAX_DEVICE_STATE_BYTES, 'device state size');
  const idBytes = bytes.readUInt16LE(STRINGS_AT - 4);
  const templateBytes = bytes.readUInt16LE(STRINGS_AT - 2);
  if (idBytes < 1 || idBytes > MAX_SANDBOX_ID_BYTES) throw new FormatError('its sandbox id has a wrong length');
  if (templateBytes < 1 || templateBytes > MAX_TEMPLATE_KEY_BYTES) {
    throw new FormatError('its template key has a wrong length');
  }
  const end = STRINGS_AT + idBytes + templateBytes;
  if (bytes.subarray(end).some((byte) => byte !== 0)) throw new FormatError('the padding of its header is not zero');
  return {
    formatVersion,
    sandboxId: bytes.toString('utf8', STRINGS_AT, STRINGS_AT + idBytes),
    generation,
    templateKey: bytes.toString('utf8', STRINGS_AT + idBytes, end),
    memoryBytes,
    deviceStateBytes,
    salt: Buffer.from(bytes.subarray(AT.salt, AT.salt + SALT_BYTES)),
  };
}

/**
 * Reads and checks the form of an image's header, for inspection. Nothing in it is authenticated: decide by
 * `openImage`, never by this.
 *
 * @throws ImageDamagedError if it is not an image of a known format; errors of the file system as they are
 */
export async function readImageHeader(path: string): Promise<ImageHeader> {
  const handle = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await handle.read(bytes, 0, HEADER_BYTES, 0);
    return decodeHeader(bytes.subarray(0, bytesRead));
  } catch (error) {
    if (error instanceof FormatError) throw new ImageDamagedError('?', path, error.message);
    throw error;
  } finally {
    await handle.close();
  }
}

/** What authenticates the header in every chunk: SHA-256 of its 512 bytes. */
export const hashHeader = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();

/** The key of one file. As a KeyObject, so that worker threads share it instead of copying its bytes. */
export function fileKey(imageKey: Buffer, header: ImageHeader): KeyObject {
  const info = [`dormouse/sealed/v${header.formatVersion}`, header.sandboxId, String(header.generation)];
  const bytes = expandKey(imageKey, info, header.salt);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

function boundedText(text: string, limit: number, what: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length >= 1 && bytes.length <= limit) return bytes;
  throw new FormatError(`the ${what} must be 1 to ${limit} bytes long, not ${bytes.length}`);
}

function boundedNumber(bytes: Buffer, at: number, limit: number, what: string): number {
  const value = bytes.readBigUInt64LE(at);
  if (value > BigInt(limit)) throw new FormatError(`its ${what} ${value} is above the limit of ${limit}`);
  return Number(value);
}
