import { open } from 'node:fs/promises';

/**
 * The head of a libvirt QEMU save image (`struct _virQEMUSaveHeader`, src/qemu/qemu_saveimage.h):
 * 16 bytes magic, then 19 little-endian 32-bit fields: version, data length, was-running, format, cookie offset,
 * 14 unused. After these 92 bytes comes the data area of `data length` bytes: domain XML, NUL, at `cookie offset`
 * (counted from the start of the XML) the cookie, NUL, padding. QEMU's own stream follows it.
 *
 * Another XML lets one image become another machine (name, uuid, disk, memory file, address); clearing `was-running`
 * makes libvirt restore the machine paused.
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
 * The head of a save image that becomes the machine of `xml`, to be restored paused. No padding: nothing is moved.
 *
 * @param image a save image, or its beginning: format and cookie (what CPU the machine has) are taken from it
 * @param name for errors
 * @throws UnknownSaveImageError when the image is not one that this module knows
 */
export function headFor(image: Buffer, xml: string, name: string): Buffer {
  const data = image.subarray(HEADER_BYTES, HEADER_BYTES + checkedDataLength(image, name));
  const cookieAt = image.readUInt32LE(COOKIE_OFFSET);
  if (cookieAt > data.length) throw new UnknownSaveImageError(`${name}: its cookie lies outside its header`);
  const end = data.indexOf(0, cookieAt);
  const cookie = cookieAt === 0 ? Buffer.alloc(0) : data.subarray(cookieAt, end < 0 ? data.length : end + 1);
  const xmlBytes = Buffer.from(`${xml}\0`, 'utf8');
  const head = Buffer.from(image.subarray(0, HEADER_BYTES));
  head.writeUInt32LE(xmlBytes.length + cookie.length, DATA_LENGTH);
  head.writeUInt32LE(0, WAS_RUNNING);
  head.writeUInt32LE(cookie.length === 0 ? 0 : xmlBytes.length, COOKIE_OFFSET);
  return Buffer.concat([head, xmlBytes, cookie]);
}

/**
 * QEMU's own stream in a save image.
 * @throws UnknownSaveImageError when the image is not one that this module knows
 */
export const streamOf = (image: Buffer, name: string): Buffer =>
  image.subarray(HEADER_BYTES + checkedDataLength(image, name));

function checkedDataLength(head: Buffer, name: string): number {
  const magic = head.toString('latin1', 0, MAGIC.length);
  if (magic !== MAGIC || head.length < HEADER_BYTES)
    throw new UnknownSaveImageError(`${name} is not a complete libvirt save image`);
  const version = head.readUInt32LE(VERSION);
  const format = head.readUInt32LE(FORMAT);
  const length = head.readUInt32LE(DATA_LENGTH);
  if (!KNOWN_VERSIONS.includes(version) || format !== FORMAT_RAW) {
    throw new UnknownSaveImageError(
      `${name} is a libvirt save image of version ${version}, format ${format}; known are versions ` +
        `${KNOWN_VERSIONS.join(', ')} in format raw. Leave save_image_format in qemu.conf at its default.`,
    );
  }
  if (length === 0 || length > MAX_DATA_BYTES || head.length < HEADER_BYTES + length) {
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
