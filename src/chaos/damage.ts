import { copyFile, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Damage } from './plan.js';

/** Oldest first: the last one is what a paused sandbox wakes from, the others are what it refers to. */
async function imagesIn(directory: string): Promise<string[]> {
  const generation = (name: string): number => Number(/^image-(\d+)\.sealed$/.exec(name)?.[1]);
  const names = (await readdir(directory)).filter((name) => generation(name) >= 0);
  return names.sort((a, b) => generation(a) - generation(b)).map((name) => path.join(directory, name));
}

async function imageIn(directory: string): Promise<string> {
  const newest = (await imagesIn(directory)).at(-1);
  if (newest === undefined) throw new Error(`${directory} has no image`);
  return newest;
}

/** What a sandbox's directory had at one moment, to be put back. */
export interface Copy {
  /** Oldest first. */
  images: { file: string; bytes: Buffer }[];
  manifest: Buffer;
}

export async function copyOf(directory: string): Promise<Copy> {
  const files = await imagesIn(directory);
  return {
    images: await Promise.all(files.map(async (file) => ({ file, bytes: await readFile(file) }))),
    manifest: await readFile(path.join(directory, 'manifest.json')),
  };
}

export async function putBack(directory: string, copy: Copy, withManifest: boolean): Promise<void> {
  for (const file of await imagesIn(directory)) await rm(file);
  for (const { file, bytes } of copy.images) await writeFile(file, bytes, { mode: 0o600 });
  if (withManifest) await writeFile(path.join(directory, 'manifest.json'), copy.manifest, { mode: 0o600 });
}

/** Damages the image of the paused sandbox in `directory`. */
export async function damage(what: Damage, directory: string, others: { older: Copy; another: string }): Promise<void> {
  const image = await imageIn(directory);
  switch (what) {
    case 'truncated':
      return truncate(image, Math.floor((await readFile(image)).length / 2));
    case 'bit-flipped':
      return flipBit(image);
    case 'bit-flipped-earlier': {
      const earlier = (await imagesIn(directory)).at(-2);
      if (earlier === undefined) throw new Error(`the image in ${directory} refers to no earlier file`);
      return flipBit(earlier, 20);
    }
    case 'of-another':
      return copyFile(await imageIn(others.another), image);
    case 'older':
      return writeFile(image, others.older.images.at(-1)!.bytes);
    case 'older-with-manifest':
      return putBack(directory, others.older, true);
  }
}

/** @param at which byte; default: a third into the file */
async function flipBit(image: string, at?: number): Promise<void> {
  const file = await open(image, 'r+');
  try {
    const position = at ?? Math.floor((await file.stat()).size / 3);
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, position);
    byte[0]! ^= 1;
    await file.write(byte, 0, 1, position);
  } finally {
    await file.close();
  }
}
