import { open } from 'node:fs/promises';

/**
 * The head of a libvirt QEMU save image (`struct _virQEMUSaveHeader`, src/qemu/qemu_saveimage.h):
 * 16 bytes magic, then 19 little-endian 32-bit fields: version, data length, was-running, format, cookie offset,
 * 14 unused. After these 92 bytes comes the data area of `data length` bytes: domain XML, NUL, at `cookie offset`
 * (counted from the start of the XML) the cookie, NUL, padding. QEMU's own stream follows it.
 *
 * Replacing the XML lets one image become another machine (name, uuid, disk, memory file, address) without moving
 * the stream; clearing `was-running` makes libvirt restore the machine paused.
 */
const MAGIC = 'LibvirtQemudSave';
const HEADER_BYTES = 92;
const FORMAT_RAW = 0;
/** Version 3 came with the `sparse` format, whose layout differs. */
const KNOWN_VERSIONS = [1, 2];
const MAX_DATA_BYTES = 4 * 1024 * 1024;

const field = (index: number): number => 16 + 4 * index;
const VERSION = field(0);
const DATA_LENGTH = field(1);
const WAS_RUNNING = field(2);
const FORMAT = field(3);
const COOKIE_OFFSET = field(4);

export class UnknownSaveImageError extends Error {
  override readonly name = 'UnknownSaveImageError';
}

/**
 * Rewrites the domain XML in `path`, in place, and marks the image to be restored paused.
 * @throws UnknownSaveImageError when the image is not one that this module knows, or the XML does not fit; the file
 * is unchanged then.
 */
export async function rewriteSaveImage(path: string, xml: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const head = Buffer.alloc(HEADER_BYTES);
    await file.read(head, 0, HEADER_BYTES, 0);
    const data = Buffer.alloc(checkedDataLength(head, path));
    await file.read(data, 0, data.length, HEADER_BYTES);
    const next = replaceXml(head, data, xml, path);
    await file.write(Buffer.concat([next.head, next.data]), 0, HEADER_BYTES + data.length, 0);
  } finally {
    await file.close();
  }
}

/** Pure: the new header and data area. Both keep their lengths. */
export function replaceXml(head: Buffer, data: Buffer, xml: string, name: string): { head: Buffer; data: Buffer } {
  checkedDataLength(head, name);
  const cookieAt = head.readUInt32LE(COOKIE_OFFSET);
  if (cookieAt > data.length) throw new UnknownSaveImageError(`${name}: its cookie lies outside its header`);
  const cookieEnd = cookieAt === 0 ? 0 : data.indexOf(0, cookieAt);
  const cookie = cookieAt === 0 ? Buffer.alloc(0) : data.subarray(cookieAt, cookieEnd < 0 ? data.length : cookieEnd);
  const xmlBytes = Buffer.from(xml, 'utf8');
  const needed = xmlBytes.length + 1 + (cookie.length === 0 ? 0 : cookie.length + 1);
  if (needed > data.length) {
    throw new UnknownSaveImageError(`${name}: a domain XML of ${xmlBytes.length} bytes does not fit into its header`);
  }
  const nextData = Buffer.alloc(data.length);
  xmlBytes.copy(nextData, 0);
  cookie.copy(nextData, xmlBytes.length + 1);
  const nextHead = Buffer.from(head);
  nextHead.writeUInt32LE(0, WAS_RUNNING);
  nextHead.writeUInt32LE(cookie.length === 0 ? 0 : xmlBytes.length + 1, COOKIE_OFFSET);
  return { head: nextHead, data: nextData };
}

function checkedDataLength(head: Buffer, name: string): number {
  const magic = head.toString('latin1', 0, 16);
  if (magic !== MAGIC) throw new UnknownSaveImageError(`${name} is not a complete libvirt save image`);
  const version = head.readUInt32LE(VERSION);
  const format = head.readUInt32LE(FORMAT);
  const length = head.readUInt32LE(DATA_LENGTH);
  if (!KNOWN_VERSIONS.includes(version) || format !== FORMAT_RAW) {
    throw new UnknownSaveImageError(
      `${name} is a libvirt save image of version ${version}, format ${format}; known are versions ` +
        `${KNOWN_VERSIONS.join(', ')} in format raw. Leave save_image_format in qemu.conf at its default.`,
    );
  }
  if (length === 0 || length > MAX_DATA_BYTES) {
    throw new UnknownSaveImageError(`${name}: a header of ${length} bytes is out of bounds`);
  }
  return length;
}

/**
 * Whether `path` holds a finished save: libvirt writes this magic only after the last byte of the stream.
 * @returns false for an absent or unfinished one.
 */
export async function isCompleteSave(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return false;
  try {
    const magic = Buffer.alloc(MAGIC.length);
    await file.read(magic, 0, magic.length, 0);
    return magic.toString('latin1') === MAGIC;
  } finally {
    await file.close();
  }
}
