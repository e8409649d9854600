import { readFile, writeFile } from 'node:fs/promises';
import { hkdfSync } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { fileKey, FORMAT_VERSION, readImageHeader } from '../../src/sealing/image-header.js';
import { writeImage } from '../../src/sealing/seal-image.js';
import { createSealPool } from '../../src/sealing/worker-pool.js';
import { digestOf, makeScene, noise, type Scene } from './scene.js';

/** Where `noise` or a filling stands in an otherwise zero memory. */
type Part = { offset: number; length: number; noise?: string; text?: string };
interface Vector {
  version: number;
  name: string;
  imageKey: string;
  salt: string;
  sandboxId: string;
  generation: number;
  templateKey: string;
  memoryBytes: number;
  base: Part[];
  memory: Part[];
  device: { length: number; noise: string };
  /** Compressed chunks depend on the version of the compressor: such a vector is opened, not compared. */
  reproducible: boolean;
  fileKey?: string;
  storedPages?: number;
  zeroPages?: number;
  digest?: string;
  image?: string;
}

const published = async (version: number): Promise<Vector[]> => {
  const text = await readFile(new URL(`./vectors-${version}.json`, import.meta.url), 'utf8');
  return (JSON.parse(text) as { vectors: Vector[] }).vectors.map((vector) => ({ ...vector, version }));
};
const vectors = [...(await published(1)), ...(await published(FORMAT_VERSION))];
/** To publish vectors for a new format version: DORMOUSE_WRITE_VECTORS=1. Never for an old one. */
const write = process.env['DORMOUSE_WRITE_VECTORS'] === '1';

const scenes: Scene[] = [];
afterEach(() => Promise.all(scenes.splice(0).map((scene) => scene.remove())));

function contents(bytes: number, parts: Part[]): Buffer {
  const memory = Buffer.alloc(bytes);
  for (const { offset, length, noise: seed, text } of parts) {
    if (seed !== undefined) noise(seed, length).copy(memory, offset);
    else memory.fill(text ?? '\0', offset, offset + length);
  }
  return memory;
}

describe.each(vectors)('the published vector "$name" of version $version', (vector) => {
  const imageKey = Buffer.from(vector.imageKey, 'hex');
  const { version, sandboxId, generation, templateKey } = vector;
  const memory = contents(vector.memoryBytes, vector.memory);
  const device = noise(vector.device.noise, vector.device.length);
  const prepare = async (): Promise<Scene> => {
    const scene = await makeScene(contents(vector.memoryBytes, vector.base), memory, device);
    scenes.push(scene);
    Object.assign(scene.seal, { imageKey, sandboxId, generation, templateKey });
    return scene;
  };

  // Earlier versions are read, and written no more.
  if (version === FORMAT_VERSION)
    it('is sealed to the published bytes', async () => {
      const scene = await prepare();
      const pool = createSealPool({ workers: 1 });
      const sealed = await writeImage({ ...scene.seal, pool }, Buffer.from(vector.salt, 'hex'));
      await pool.close();
      const image = await readFile(scene.seal.path);
      const key = fileKey(imageKey, await readImageHeader(scene.seal.path))
        .export()
        .toString('hex');
      const made = {
        ...{ fileKey: key, storedPages: sealed.storedPages, zeroPages: sealed.zeroPages },
        ...{ digest: sealed.digest, image: image.toString('base64') },
      };
      if (write) {
        Object.assign(vector, made);
        const written = vectors.filter((one) => one.version === version).map(({ version: _named, ...rest }) => rest);
        await writeFile(
          new URL(`./vectors-${version}.json`, import.meta.url),
          `${JSON.stringify({ vectors: written }, null, 2)}\n`,
        );
      }
      const { fileKey: publishedKey, storedPages, zeroPages } = vector;
      expect([key, sealed.storedPages, sealed.zeroPages]).toEqual([publishedKey, storedPages, zeroPages]);
      if (vector.reproducible) expect([made.digest, made.image]).toEqual([vector.digest, vector.image]);
    });

  it('has the file key that the documentation describes', () => {
    const info = JSON.stringify([`dormouse/sealed/v${version}`, sandboxId, String(generation)]);
    const key = hkdfSync('sha256', imageKey, Buffer.from(vector.salt, 'hex'), info, 32);
    expect(Buffer.from(key).toString('hex')).toBe(vector.fileKey);
  });

  it('opens to the published memory and device state', async () => {
    const scene = await prepare();
    const image = Buffer.from(vector.image!, 'base64');
    expect(await digestOf(image)).toBe(vector.digest);
    await writeFile(scene.seal.path, image);
    const known = { digest: vector.digest!, bytes: image.length, files: [generation], storedPages: 0, zeroPages: 0 };
    await scene.open(known, { imageKey, sandboxId, generation, templateKey });
    const restored = await scene.restored();
    expect(restored.memory.equals(memory)).toBe(true);
    expect(restored.device.equals(device)).toBe(true);
  });
});
