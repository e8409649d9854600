import { createCipheriv, createSecretKey } from 'node:crypto';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHUNK_KIND, openChunk, sealChunk } from '../../src/sealing/chunk.js';
import { applyBlock, MAX_BLOCK_PAGES } from '../../src/sealing/memory-block.js';
import type { OpenOptions } from '../../src/sealing/open-image.js';
import type { SealedImage } from '../../src/sealing/seal-image.js';
import { createSealPool } from '../../src/sealing/worker-pool.js';
import { chunksOf, makeScene, noise, PAGE, type Scene, sealScene, sha256 } from './scene.js';

const MIB = 1024 * 1024;
let scene: Scene;
let sealed: SealedImage;
let good: Buffer;
/** One thread: chunks come in the same order at every attempt. */
const pool = createSealPool({ workers: 1 });

beforeAll(async () => {
  const memory = Buffer.alloc(8 * MIB);
  for (const at of [1, 600, 1100, 1700]) noise(`m${at}`, 3 * PAGE).copy(memory, at * PAGE);
  scene = await makeScene(Buffer.alloc(8 * MIB), memory, noise('device', 9000));
  sealed = await sealScene(scene, { pool });
  good = await readFile(scene.seal.path);
});
afterAll(async () => {
  await scene.remove();
  await pool.close();
});

/** Opens the given bytes. Unless said otherwise the caller believes their digest, so that only the format protects. */
async function openBytes(bytes: Buffer, changes: Partial<OpenOptions> = {}): Promise<void> {
  await writeFile(scene.seal.path, bytes);
  try {
    await scene.open({ ...sealed, digest: sha256(bytes) }, changes);
  } finally {
    await writeFile(scene.seal.path, good);
  }
}

async function expectRefused(bytes: Buffer, problem: RegExp, changes: Partial<OpenOptions> = {}): Promise<void> {
  const error = await openBytes(bytes, changes).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  expect(error, 'the image was accepted').toMatchObject({ name: 'ImageDamagedError', code: 'ImageDamaged' });
  expect(error!.message).toContain(JSON.stringify(changes.sandboxId ?? scene.seal.sandboxId));
  expect(error!.message).toMatch(problem);
  expect(await scene.outputs()).toEqual(['image']);
}

describe('an image is refused, and leaves no output,', () => {
  it('with any bit flipped: every byte of header and frames, samples of the rest', async () => {
    const offsets = new Set(Array.from({ length: 512 }, (_, at) => at));
    for (const [start, end] of chunksOf(good)) {
      for (let at = 0; at < 16; at++) offsets.add(start + at).add(end - 1 - at);
    }
    for (let at = 512; at < good.length; at += 997) offsets.add(at);
    for (const at of offsets) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= 1 << (at % 8);
      await expectRefused(bytes, /./);
    }
  }, 120_000);

  it('with a flipped bit that only the digest is asked about', async () => {
    const bytes = Buffer.from(good);
    bytes[good.length - 1]! ^= 1;
    await expectRefused(bytes, /fails authentication/, { digest: sealed.digest });
  });

  it('cut short at every chunk boundary and between them, or longer than it was', async () => {
    const ends = [512, ...chunksOf(good).map(([, end]) => end)].filter((end) => end < good.length);
    for (const end of ends) await expectRefused(good.subarray(0, end), /cut short/);
    for (const length of [0, 1, 511, 513, 515, 516, 530, good.length - 1]) {
      await expectRefused(good.subarray(0, length), /short|header/);
    }
    await expectRefused(Buffer.concat([good, Buffer.of(0)]), /./);
    const last = chunksOf(good).at(-1)!;
    await expectRefused(Buffer.concat([good, good.subarray(...last)]), /fails authentication/);
  });

  it('with chunks swapped, left out or repeated', async () => {
    const chunks = chunksOf(good);
    const compose = (order: number[]): Buffer =>
      Buffer.concat([good.subarray(0, 512), ...order.map((at) => good.subarray(...chunks[at]!))]);
    const inOrder = chunks.map((_, at) => at);
    expect(compose(inOrder).equals(good)).toBe(true);
    for (let at = 0; at + 1 < chunks.length; at++) {
      await expectRefused(compose(inOrder.with(at, at + 1).with(at + 1, at)), /fails authentication/);
      await expectRefused(compose(inOrder.toSpliced(at, 1)), /fails authentication/);
      await expectRefused(compose(inOrder.toSpliced(at, 0, at)), /fails authentication/);
    }
  });

  it('with chunks of another attempt at the same pause', async () => {
    await sealScene(scene, { pool });
    const other = await readFile(scene.seal.path);
    const [start, end] = chunksOf(good)[0]!;
    const mixed = Buffer.from(good);
    other.copy(mixed, start, start, end);
    await expectRefused(mixed, /fails authentication/);
  });

  it('as the image of another sandbox, generation or template, by its header and by its key', async () => {
    await expectRefused(good, /sandbox id/, { sandboxId: 'iother' });
    await expectRefused(good, /generation is 7, expected 8/, { generation: 8 });
    await expectRefused(good, /template/, { templateKey: 'template-2' });
    const renamed = Buffer.from(good);
    renamed.writeBigUInt64LE(8n, 48);
    await expectRefused(renamed, /fails authentication/, { generation: 8 });
    await expectRefused(good, /fails authentication/, { imageKey: Buffer.alloc(32, 2) });
  });

  it('when it is a genuine image, but not the one with the digest asked for', async () => {
    await sealScene(scene, { pool });
    const other = await readFile(scene.seal.path);
    await expectRefused(other, /SHA-256/, { digest: sealed.digest });
    await expectRefused(good, /SHA-256/, { digest: '' });
  });

  it('when it is not there', async () => {
    await expect(scene.open(sealed, { path: `${scene.seal.path}.gone` })).rejects.toMatchObject({
      code: 'ImageDamaged',
    });
  });

  it('when the memory has another size, without blaming it for a missing memory', async () => {
    await truncate(scene.seal.baseMemoryPath, 4 * MIB);
    await expectRefused(good, /memory size/);
    await truncate(scene.seal.baseMemoryPath, 8 * MIB);
    await expect(scene.open(sealed, { memoryPath: '/nowhere' })).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await scene.outputs()).toEqual(['image']);
  });

  it('after all this the untouched image still opens', async () => {
    await openBytes(good, { digest: sealed.digest });
    expect(await scene.outputs()).toEqual(['image', 'restored.dev', 'restored.ram']);
    await rm(path.join(scene.directory, 'restored.dev'));
    await rm(path.join(scene.directory, 'restored.ram'));
  });
});

describe('a crafted length is refused before anything of its size is allocated:', () => {
  const before = (): number => process.memoryUsage().arrayBuffers;

  it('of a chunk', async () => {
    for (const length of [0, 23, 0x0080_0000, 0x7fff_ffff, 0xffff_ffff]) {
      const bytes = Buffer.from(good);
      bytes.writeUInt32LE(length, 512);
      const start = before();
      await expectRefused(bytes, /impossible length/);
      expect(before() - start).toBeLessThan(64 * MIB);
    }
  });

  it.each([
    ['memory', 56, 2n ** 63n],
    ['memory, not whole pages', 56, 4097n],
    ['device state', 64, 2n ** 40n],
    ['generation', 48, 2n ** 63n],
  ])('of the header: %s', async (_name, at, value) => {
    const bytes = Buffer.from(good);
    bytes.writeBigUInt64LE(value, at);
    await writeFile(scene.seal.path, bytes);
    await expect(scene.open({ ...sealed, digest: sha256(bytes) })).rejects.toThrow(/limit|whole pages/);
    await writeFile(scene.seal.path, good);
  });

  it('of what a genuine chunk unpacks to', () => {
    const place = { key: createSecretKey(Buffer.alloc(32)), headerHash: Buffer.alloc(32), index: 0, last: false };
    const bomb = sealChunk(place, CHUNK_KIND.memory, Buffer.alloc(4 * MIB));
    expect(bomb.length).toBeLessThan(8192);
    expect(openChunk(place, bomb.subarray(4)).payload.length).toBe(4 * MIB);
    expect(() => sealChunk(place, CHUNK_KIND.memory, Buffer.alloc(5 * MIB))).toThrow(/too large/);
    const forged = (encoding: number, claimed: number, body: Buffer): Buffer => {
      const inner = Buffer.of(CHUNK_KIND.memory, encoding, 0, 0, 0, 0, 0, 0);
      inner.writeUInt32LE(claimed, 4);
      const cipher = createCipheriv('aes-256-gcm', place.key, Buffer.alloc(12));
      cipher.setAAD(Buffer.alloc(37));
      const sealedPart = Buffer.concat([cipher.update(inner), cipher.update(body), cipher.final()]);
      return Buffer.concat([sealedPart, cipher.getAuthTag()]);
    };
    const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 0 } };
    const large = brotliCompressSync(Buffer.alloc(256 * MIB), fast);
    const start = before();
    for (const claimed of [0, 1, 4096, 4 * MIB]) {
      expect(() => openChunk(place, forged(1, claimed, large))).toThrow(/does not unpack/);
    }
    expect(() => openChunk(place, forged(1, 0xffff_ffff, large))).toThrow(/above the limit/);
    expect(() => openChunk(place, forged(0, 5, Buffer.alloc(4)))).toThrow(/does not unpack/);
    expect(() => openChunk(place, forged(2, 4, Buffer.alloc(4)))).toThrow(/does not unpack/);
    expect(openChunk(place, forged(0, 4, Buffer.alloc(4))).payload).toEqual(Buffer.alloc(4));
    expect(before() - start).toBeLessThan(64 * MIB);
  });

  it('of a page map, even of a genuine chunk: nothing is written', () => {
    const payload = (offset: bigint, pages: number, stored: number, zero: number, map: number[]): Buffer => {
      const bytes = Buffer.alloc(24 + map.length + stored * PAGE);
      bytes.writeBigUInt64LE(offset, 0);
      [pages, stored, zero].forEach((value, at) => bytes.writeUInt32LE(value, 8 + at * 4));
      bytes.set(map, 24);
      return bytes;
    };
    const write = (): never => {
      throw new Error('written');
    };
    const refused = (bytes: Buffer): void => expect(() => applyBlock(bytes, 16 * PAGE, write)).toThrow(/memory chunk/);
    refused(Buffer.alloc(3));
    refused(payload(0n, 0, 0, 0, []));
    refused(payload(0n, MAX_BLOCK_PAGES + 1, 0, 0, []));
    refused(payload(0n, 0xffff_ffff, 0, 0, []));
    refused(payload(1n, 8, 1, 0, [1, 0]));
    refused(payload(2n ** 60n, 8, 1, 0, [1, 0]));
    refused(payload(BigInt(12 * PAGE), 8, 1, 0, [1, 0]));
    refused(payload(0n, 8, 1, 0, [3, 0]));
    refused(payload(0n, 8, 1, 1, [1, 1]));
    refused(payload(0n, 4, 1, 0, [16, 0]));
    expect(() => applyBlock(payload(0n, 8, 1, 0, [1, 0]), 16 * PAGE, write)).toThrow('written');
  });
});
