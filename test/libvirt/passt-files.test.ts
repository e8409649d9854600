import { link, lchown, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clearPlantedPasstFiles } from '../../src/libvirt/passt-files.js';

const UID = 1_879_050_000;
const OTHER = UID + 1;
/** libvirt's names have the first 20 characters. */
const NAME = 'dormouse-iy1x4f5pommabcdefgh';

let directory: string;
let victim: string;
let server: Server | undefined;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'passt-files-'));
  victim = path.join(directory, 'victim');
  await writeFile(victim, 'memory of a guest');
});
afterEach(async () => {
  server?.close();
  server = undefined;
  await rm(directory, { recursive: true, force: true });
});

const at = (name: string): string => path.join(directory, name);
const clear = (): Promise<string[]> => clearPlantedPasstFiles({ name: NAME, uid: UID }, directory);
const owned = async (name: string, uid: number): Promise<void> => lchown(at(name), uid, 0);

test('links that others planted for the passt of a machine are gone before its start, whatever its number will be', async () => {
  const planted = ['7-dormouse-iy1x4f5pomm-net0-passt.pid', '142-dormouse-iy1x4f5pomm-net0.socket'];
  for (const name of planted) await symlink(victim, at(name));
  await owned(planted[0]!, OTHER);
  await owned(planted[1]!, UID);
  expect((await clear()).sort()).toEqual([...planted].sort());
  expect(await readdir(directory)).toEqual(['victim']);
  expect(await readFile(victim, 'utf8')).toBe('memory of a guest');
});

test('files, hard links and directories of others are out of the way, and nothing below a directory is touched', async () => {
  await writeFile(at('1-dormouse-iy1x4f5pomm-net0-passt.pid'), '1');
  await owned('1-dormouse-iy1x4f5pomm-net0-passt.pid', OTHER);
  await link(victim, at('2-dormouse-iy1x4f5pomm-net0-passt.pid'));
  await mkdir(at('3-dormouse-iy1x4f5pomm-net0.socket'));
  await symlink(directory, path.join(at('3-dormouse-iy1x4f5pomm-net0.socket'), 'to'));
  expect(await clear()).toHaveLength(3);
  const left = await readdir(directory);
  expect(left).toEqual([expect.stringMatching(/^planted-/), 'victim']);
  expect(await readdir(at(left[0]!))).toEqual(['to']);
  expect(await readFile(victim, 'utf8')).toBe('memory of a guest');
});

test('what the machine’s own user has there stays, and what is named for other machines', async () => {
  const own = ['8-dormouse-iy1x4f5pomm-net0-passt.pid', '8-dormouse-iy1x4f5pomm-net0.socket'];
  await writeFile(at(own[0]!), '123');
  server = createServer();
  await new Promise<void>((resolve) => server!.listen(at(own[1]!), resolve));
  for (const name of own) await owned(name, UID);
  const others = [
    '9-dormouse-another00000-net0-passt.pid',
    'x-dormouse-iy1x4f5pomm-net0.socket',
    '8-dormouse-iy1x4f5pomm-net0.socket.more',
  ];
  for (const name of others) await symlink(victim, at(name));
  expect(await clear()).toEqual([]);
  expect((await readdir(directory)).sort()).toEqual([...own, ...others, 'victim'].sort());
  expect((await lstat(at(own[1]!))).isSocket()).toBe(true);
});

test('without such a directory there is nothing to clear', async () => {
  expect(await clearPlantedPasstFiles({ name: NAME, uid: UID }, at('absent'))).toEqual([]);
});
