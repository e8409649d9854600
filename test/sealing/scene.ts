import { createCipheriv, createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openImage, type OpenOptions } from '../../src/sealing/open-image.js';
import { sealImage, type SealedImage, type SealOptions } from '../../src/sealing/seal-image.js';

export const PAGE = 4096;
export const IMAGE_KEY = Buffer.alloc(32, 0x11);

/** Memory contents in tmpfs where there is one, like the real thing. */
const ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A directory with a template's memory, a guest's memory and device state, and what sealing and opening them needs. */
export interface Scene {
  directory: string;
  seal: SealOptions;
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
    writeFile(at('base.ram'), base),
    writeFile(at('guest.ram'), memory),
    writeFile(at('guest.dev'), device),
  ]);
  const seal: SealOptions = {
    path: at('image'),
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
    seal,
    open: async (sealed, changes) => {
      await copyFile(baseMemoryPath, at('restored.ram'));
      try {
        const device = await openImage({
          ...{ path: seal.path, imageKey, sandboxId, generation, templateKey, digest: sealed.digest },
          ...{ memoryPath: at('restored.ram') },
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

/** The same bytes for the same seed, not compressible: AES-256-CTR of zeros, key SHA-256(seed), counter from zero. */
export function noise(seed: string, bytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

export const sealScene = (scene: Scene, changes: Partial<SealOptions> = {}): Promise<SealedImage> =>
  sealImage({ ...scene.seal, ...changes });

/** Start and end of every chunk, its 4 length bytes included. */
export function chunksOf(image: Buffer): [start: number, end: number][] {
  const chunks: [number, number][] = [];
  for (let at = 512; at < image.length;) {
    const end = at + 4 + image.readUInt32LE(at);
    chunks.push([at, end]);
    at = end;
  }
  return chunks;
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
