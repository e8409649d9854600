import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { headFor, isCompleteSave, streamOf, UnknownSaveImageError } from '../../src/libvirt/save-image-header.js';

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
  test('gets another XML, keeps its cookie, and is marked to be restored paused', () => {
    const xml = `<domain><name>${'x'.repeat(5_000)}</name></domain>`;
    const head = headFor(saveImage(), xml, 'a');
    const length = head.readUInt32LE(16 + 4);
    expect(head.length).toBe(92 + length);
    expect(head.toString('utf8', 92, 92 + xml.length + 1)).toBe(`${xml}\0`);
    const cookieAt = 92 + head.readUInt32LE(16 + 16);
    expect(head.toString('utf8', cookieAt)).toBe('<cookie/>\0');
    expect(head.readUInt32LE(16 + 8)).toBe(0);
  });

  test('is known from the beginning of an image alone', () => {
    expect(headFor(saveImage().subarray(0, 92 + 65_536), '<domain/>', 'a')).toEqual(
      headFor(saveImage(), '<domain/>', 'a'),
    );
  });

  test('may have no cookie', () => {
    const head = headFor(saveImage({ cookie: '' }), '<domain/>', 'a');
    expect(head.readUInt32LE(16 + 16)).toBe(0);
    expect(head.toString('utf8', 92)).toBe('<domain/>\0');
  });

  test('may hold a longer XML than the image had room for', () => {
    expect(headFor(saveImage(), 'x'.repeat(70_000), 'a').readUInt32LE(16 + 4)).toBe(70_001 + '<cookie/>\0'.length);
  });

  test('is what stands before the stream', () => {
    expect(streamOf(saveImage(), 'a')).toEqual(STREAM);
  });

  test.each([
    ['is unfinished', { magic: 'LibvirtQemudPart' }],
    ['has a newer version', { version: 3 }],
    ['has another format', { format: 5 }],
    ['claims a length out of bounds', { dataLength: 1 << 30 }],
    ['is longer than the image', { dataLength: 1 << 20 }],
  ])('is refused when it %s', (_why, options) => {
    expect(() => headFor(saveImage(options), '<domain/>', 'a')).toThrow(UnknownSaveImageError);
    expect(() => streamOf(saveImage(options), 'a')).toThrow(UnknownSaveImageError);
  });

  test('is refused when there is next to nothing', () => {
    expect(() => headFor(Buffer.from('LibvirtQemudSave'), '<domain/>', 'a')).toThrow(UnknownSaveImageError);
    expect(() => headFor(Buffer.alloc(0), '<domain/>', 'a')).toThrow(UnknownSaveImageError);
  });
});

describe('a save image on disk', () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'save-image-'));
    file = path.join(directory, 'image');
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('tells a finished save from an unfinished or absent one', async () => {
    expect(await isCompleteSave(file)).toBe(false);
    await writeFile(file, saveImage({ magic: 'LibvirtQemudPart' }));
    expect(await isCompleteSave(file)).toBe(false);
    await writeFile(file, saveImage());
    expect(await isCompleteSave(file)).toBe(true);
  });
});
