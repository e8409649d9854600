import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { cpio, makeInitrd } from '../../src/template/initrd.js';

const run = promisify(execFile);
const source = path.resolve('src/template/recipe/init.c');

test('an initrd has the form that the kernel unpacks: each header and each content padded to four bytes', () => {
  const archive = cpio([{ name: 'init', mode: 0o100_755, content: Buffer.from('hello') }]);
  const header = archive.subarray(0, 110).toString();
  expect(header.slice(0, 6)).toBe('070701');
  expect(header.slice(14, 22)).toBe((0o100_755).toString(16).padStart(8, '0'));
  expect(Number.parseInt(header.slice(54, 62), 16)).toBe(5);
  expect(Number.parseInt(header.slice(94, 102), 16)).toBe('init\0'.length);
  expect(archive.subarray(110, 115).toString()).toBe('init\0');
  expect(archive.subarray(116, 124).toString()).toBe('hello\0\0\0');
  expect(archive.subarray(124, 130).toString()).toBe('070701');
  expect(archive.length % 4).toBe(0);
  expect(archive.includes('TRAILER!!!')).toBe(true);
});

test('the program of an initrd needs nothing beside itself, and is the same each time that it is compiled', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'initrd-'));
  const driver = path.join(directory, 'virtio_blk.ko.xz');
  await writeFile(driver, 'driver');
  const files = [path.join(directory, 'a'), path.join(directory, 'b')];
  for (const to of files) await makeInitrd({ to, source, driver });
  const [first, second] = await Promise.all(files.map((file) => readFile(file)));
  expect(first!.equals(second!)).toBe(true);
  const program = path.join(directory, 'init');
  await writeFile(program, first!.subarray(116));
  expect((await run('readelf', ['-l', program])).stdout).not.toContain('INTERP');
  await rm(directory, { recursive: true });
});
