import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isCompleteSave, rewriteSaveImage, UnknownSaveImageError } from '../../src/libvirt/save-image-header.js';

const STREAM = Buffer.from('QEMU stream, byte for byte');

/** As libvirt 11 lays an image out: header, XML, NUL, cookie, NUL, padding to 64 KiB, stream. */
function saveImage(
  options: { magic?: string; version?: number; format?: number; dataLength?: number; cookie?: string } = {},
): Buffer {
  const xml = Buffer.from('<domain><name>template</name></domain>\0');
  const cookie = Buffer.from(options.cookie === undefined ? '<cookie/>\0' : options.cookie);
  const head = Buffer.alloc(92);
  head.write(options.magic ?? 'LibvirtQemudSave', 0, 'latin1');
  const dataLength = options.dataLength ?? 65_536;
  [options.version ?? 2, dataLength, 1, options.format ?? 0, cookie.length === 0 ? 0 : xml.length].forEach(
    (value, index) => head.writeUInt32LE(value, 16 + 4 * index),
  );
  const data = Buffer.alloc(Math.min(dataLength, 65_536));
  xml.copy(data);
  cookie.copy(data, xml.length);
  return Buffer.concat([head, data, STREAM]);
}

describe('the head of a save image', () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'save-image-'));
    file = path.join(directory, 'image');
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('gets another XML, keeps cookie and stream where they belong, and is marked to be restored paused', async () => {
    await writeFile(file, saveImage());
    const xml = `<domain><name>${'x'.repeat(5_000)}</name></domain>`;
    await rewriteSaveImage(file, xml);
    const after = await readFile(file);
    const data = after.subarray(92, 92 + 65_536);
    expect(data.toString('utf8', 0, xml.length)).toBe(xml);
    expect(data[xml.length]).toBe(0);
    const cookieAt = after.readUInt32LE(16 + 16);
    expect(data.toString('utf8', cookieAt, cookieAt + 10)).toBe('<cookie/>\0');
    expect(after.readUInt32LE(16 + 8)).toBe(0);
    expect(after.subarray(92 + 65_536)).toEqual(STREAM);
  });

  test('may have no cookie', async () => {
    await writeFile(file, saveImage({ cookie: '' }));
    await rewriteSaveImage(file, '<domain/>');
    expect((await readFile(file)).readUInt32LE(16 + 16)).toBe(0);
  });

  test.each([
    ['is unfinished', { magic: 'LibvirtQemudPart' }],
    ['has a newer version', { version: 3 }],
    ['has another format', { format: 5 }],
    ['claims a length out of bounds', { dataLength: 1 << 30 }],
  ])('is refused and left as it is when it %s', async (_why, options) => {
    const before = saveImage(options);
    await writeFile(file, before);
    await expect(rewriteSaveImage(file, '<domain/>')).rejects.toThrow(UnknownSaveImageError);
    expect(await readFile(file)).toEqual(before);
  });

  test('is refused when the XML does not fit', async () => {
    const before = saveImage();
    await writeFile(file, before);
    await expect(rewriteSaveImage(file, 'x'.repeat(65_536))).rejects.toThrow(/does not fit/);
    expect(await readFile(file)).toEqual(before);
  });

  test('tells a finished save from an unfinished or absent one', async () => {
    expect(await isCompleteSave(file)).toBe(false);
    await writeFile(file, saveImage({ magic: 'LibvirtQemudPart' }));
    expect(await isCompleteSave(file)).toBe(false);
    await writeFile(file, saveImage());
    expect(await isCompleteSave(file)).toBe(true);
  });
});
