import { copyFile, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Damage } from './plan.js';

const imageIn = async (directory: string): Promise<string> => {
  const name = (await readdir(directory)).find((entry) => /^image-\d+\.sealed$/.test(entry));
  if (name === undefined) throw new Error(`${directory} has no image`);
  return path.join(directory, name);
};

/** What a sandbox's directory had at one moment, to be put back. */
export interface Copy {
  image: string;
  bytes: Buffer;
  manifest: Buffer;
}

export async function copyOf(directory: string): Promise<Copy> {
  const image = await imageIn(directory);
  return { image, bytes: await readFile(image), manifest: await readFile(path.join(directory, 'manifest.json')) };
}

export async function putBack(directory: string, copy: Copy, withManifest: boolean): Promise<void> {
  await rm(await imageIn(directory).catch(() => copy.image), { force: true });
  await writeFile(copy.image, copy.bytes, { mode: 0o600 });
  if (withManifest) await writeFile(path.join(directory, 'manifest.json'), copy.manifest, { mode: 0o600 });
}

/** Damages the image of the paused sandbox in `directory`. */
export async function damage(what: Damage, directory: string, others: { older: Copy; another: string }): Promise<void> {
  const image = await imageIn(directory);
  const { length } = await readFile(image);
  switch (what) {
    case 'truncated':
      return truncate(image, Math.floor(length / 2));
    case 'bit-flipped': {
      const file = await open(image, 'r+');
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, Math.floor(length / 3));
      byte[0]! ^= 1;
      await file.write(byte, 0, 1, Math.floor(length / 3));
      return file.close();
    }
    case 'of-another':
      return copyFile(await imageIn(others.another), image);
    case 'older':
      return writeFile(image, others.older.bytes);
    case 'older-with-manifest':
      return putBack(directory, others.older, true);
  }
}
