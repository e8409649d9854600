import { createCipheriv, createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { digestOfImage } from '../../src/sealing/image-digest.js';
import { openImageFile } from '../../src/sealing/image-file.js';
import type { ImageTable } from '../../src/sealing/image-table.js';
import { openImage, type OpenOptions } from '../../src/sealing/open-image.js';
import { readTable } from '../../src/sealing/read-table.js';
import { sealImage, type SealedImage, type SealOptions } from '../../src/sealing/seal-image.js';

export const PAGE = 4096;
export const IMAGE_KEY = Buffer.alloc(32, 0x11);

/** Memory contents in tmpfs where there is one, like the real thing. */
const ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A directory with a template's memory, a guest's memory and device state, and what sealing and opening them needs. */
export interface Scene {
  directory: string;
  /** Where the image of a generation is. */
  pathOf(generation: number): string;
  seal: SealOptions & { deviceStatePath: string };
  open(sealed: SealedImage, changes?: Partial<OpenOptions>): Promise<void>;
  /** What `open` restored. */
  restored(): Promise<{ memory: Buffer; device: Buffer }>;
  /** Names of the files there are beside the inputs. */
  outputs(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function makeScene(base: Buffer, memory: Buffer, device: Buffer): Promise<Scene> {
  const directory = await mkdtemp(path.join(ROOT, 'dormouse-sealing-'));
  const at = (name: string): string => path.join(directory, name);
  await Promise.all([
    base.equals(Buffer.alloc(base.length)) ? writeHole(at('base.ram'), base.length) : writeFile(at('base.ram'), base),
    writeFile(at('guest.ram'), memory),
    writeFile(at('guest.dev'), device),
  ]);
  const seal: Scene['seal'] = {
    path: at('image-7'),
    imageKey: IMAGE_KEY,
    sandboxId: 'i1a2b3c4d5e6f7g8h9j0k',
    generation: 7,
    templateKey: 'template-1',
    deviceStatePath: at('guest.dev'),
    memoryPath: at('guest.ram'),
    baseMemoryPath: at('base.ram'),
  };
  const { imageKey, sandboxId, generation, templateKey, baseMemoryPath } = seal;
  return {
    directory,
    pathOf: (of) => at(`image-${of}`),
    seal,
    open: async (sealed, changes) => {
      const { blocks, size } = await stat(baseMemoryPath);
      if (blocks === 0) await writeHole(at('restored.ram'), size);
      else await copyFile(baseMemoryPath, at('restored.ram'));
      try {
        const device = await openImage({
          ...{ path: seal.path, imageKey, sandboxId, generation, templateKey, digest: sealed.digest },
          ...{ memoryPath: at('restored.ram'), pathOf: (of: number) => at(`image-${of}`) },
          ...changes,
        });
        await writeFile(at('restored.dev'), device);
      } catch (error) {
        await rm(at('restored.ram'));
        throw error;
      }
    },
    restored: async () => ({
      memory: await readFile(at('restored.ram')),
      device: await readFile(at('restored.dev')),
    }),
    outputs: async () =>
      (await readdir(directory)).filter((name) => !['base.ram', 'guest.ram', 'guest.dev'].includes(name)).sort(),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Reads as zeros, and is there at once: thousands of images are opened on it. */
async function writeHole(file: string, bytes: number): Promise<void> {
  await writeFile(file, '');
  await truncate(file, bytes);
}

/** The same bytes for the same seed, not compressible: AES-256-CTR of zeros, key SHA-256(seed), counter from zero. */
export function noise(seed: string, bytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

export const sealScene = (scene: Scene, changes: Partial<SealOptions> = {}): Promise<SealedImage> =>
  sealImage({ ...scene.seal, ...changes });

/** The table of an image, and where it begins. */
export async function tableOf(
  scene: Scene,
  sealed: SealedImage,
  generation = scene.seal.generation,
): Promise<ImageTable & { at: number }> {
  const { imageKey, sandboxId, templateKey } = scene.seal;
  const memoryBytes = (await stat(scene.seal.memoryPath)).size;
  const wanted = { sandboxId, generation, templateKey, memoryBytes };
  const file = await openImageFile(scene.pathOf(generation), imageKey, wanted);
  try {
    const table = await readTable(file, sealed.digest);
    const own = [...table.device, ...table.parts.filter((part) => part.file === 0)];
    return { ...table, at: Math.max(512, ...own.map(({ offset, length }) => offset + length)) };
  } finally {
    await file.handle.close();
  }
}

/** Start and end of every chunk of an image of format version 1, its 4 length bytes included. */
export function chunksOf1(image: Buffer): [start: number, end: number][] {
  const chunks: [number, number][] = [];
  for (let at = 512; at < image.length;) {
    const end = at + 4 + image.readUInt32LE(at);
    chunks.push([at, end]);
    at = end;
  }
  return chunks;
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** The digest of these bytes as an image. */
export async function digestOf(bytes: Buffer): Promise<string> {
  const file = path.join(ROOT, `dormouse-digest-${randomUUID()}`);
  await writeFile(file, bytes);
  return digestOfImage(file).finally(() => rm(file));
}
