import { createCipheriv, createSecretKey } from 'node:crypto';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHUNK_KIND, openChunk, sealChunk } from '../../src/sealing/chunk.js';
import type { Frame } from '../../src/sealing/image-table.js';
import { applyBlock, MAX_BLOCK_PAGES } from '../../src/sealing/memory-block.js';
import type { OpenOptions } from '../../src/sealing/open-image.js';
import type { SealedImage } from '../../src/sealing/seal-image.js';
import { pack } from '../../src/sealing/packing.js';
import { createSealPool } from '../../src/sealing/worker-pool.js';
import { digestOf, makeScene, noise, PAGE, type Scene, sealScene, tableOf } from './scene.js';

const MIB = 1024 * 1024;
let scene: Scene;
let sealed: SealedImage;
let good: Buffer;
let table: Awaited<ReturnType<typeof tableOf>>;
/** All that stands between header and table. */
let frames: Frame[];
/** One thread: chunks come in the same order at every attempt. */
const pool = createSealPool({ workers: 1 });

beforeAll(async () => {
  const memory = Buffer.alloc(8 * MIB);
  for (const at of [1, 600, 1100, 1700]) noise(`m${at}`, 3 * PAGE).copy(memory, at * PAGE);
  scene = await makeScene(Buffer.alloc(8 * MIB), memory, noise('device', 9000));
  sealed = await sealScene(scene, { pool });
  good = await readFile(scene.seal.path);
  table = await tableOf(scene, sealed);
  frames = [...table.device, ...table.parts];
});
afterAll(async () => {
  await scene.remove();
  await pool.close();
});

/** Opens the given bytes. Unless said otherwise the caller believes their digest, so that only the format protects. */
async function openBytes(bytes: Buffer, changes: Partial<OpenOptions> = {}): Promise<void> {
  await writeFile(scene.seal.path, bytes);
  try {
    await scene.open({ ...sealed, digest: await digestOf(bytes) }, changes);
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
  expect(await scene.outputs()).toEqual(['image-7']);
}

describe('an image is refused, and leaves no output,', () => {
  it('with any bit flipped: every byte of header and tail, both ends of every chunk, samples of the rest', async () => {
    const offsets = new Set(Array.from({ length: 512 }, (_, at) => at));
    for (const { offset, length } of frames) {
      for (let at = 0; at < 8; at++) offsets.add(offset + at).add(offset + length - 1 - at);
    }
    for (let at = table.at; at < good.length; at++) offsets.add(at);
    for (let at = 512; at < good.length; at += 997) offsets.add(at);
    for (const at of offsets) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= 1 << (at % 8);
      await expectRefused(bytes, /./);
    }
  }, 120_000);

  it('with a flipped bit in its table, before anything of it is opened, by its digest alone', async () => {
    const bytes = Buffer.from(good);
    bytes[table.at]! ^= 1;
    await expectRefused(bytes, /its digest is/, { digest: sealed.digest });
  });

  it('cut short at every chunk boundary and between them, or longer than it was', async () => {
    const ends = [512, ...frames.map(({ offset, length }) => offset + length), table.at, good.length - 1];
    for (const end of ends)
      await expectRefused(good.subarray(0, end), /cut short|impossible place|not where|authentication/);
    for (const length of [0, 1, 511, 513, 530]) await expectRefused(good.subarray(0, length), /short|header/);
    await expectRefused(Buffer.concat([good, Buffer.of(0)]), /./);
    await expectRefused(Buffer.concat([good, good.subarray(table.at)]), /./);
    const longer = Buffer.concat([good.subarray(0, table.at), Buffer.alloc(100), good.subarray(table.at)]);
    longer.writeBigUInt64LE(BigInt(table.at + 100), longer.length - 56);
    await expectRefused(longer, /not where/);
  });

  it('with chunks exchanged', async () => {
    let exchanged = 0;
    for (const one of frames) {
      for (const other of frames) {
        if (one === other || one.length !== other.length) continue;
        const bytes = Buffer.from(good);
        good.copy(bytes, one.offset, other.offset, other.offset + other.length);
        await expectRefused(bytes, /fails authentication/);
        exchanged++;
      }
    }
    expect(exchanged).toBeGreaterThan(4);
  });

  it('with chunks of another attempt at the same pause', async () => {
    await sealScene(scene, { pool });
    const other = await readFile(scene.seal.path);
    expect(other.length).toBe(good.length);
    for (const [start, end] of [...frames.map(({ offset, length }) => [offset, offset + length]), [table.at]]) {
      const mixed = Buffer.from(good);
      other.copy(mixed, start, start, end);
      await expectRefused(mixed, /fails authentication/);
    }
  });

  it('as the image of another sandbox, generation or template, by its header and by its key', async () => {
    await expectRefused(good, /sandbox id/, { sandboxId: 'iother' });
    await expectRefused(good, /generation is 7, expected 8/, { generation: 8 });
    await expectRefused(good, /template/, { templateKey: 'template-2' });
    const renamed = Buffer.from(good);
    renamed.writeBigUInt64LE(8n, 48);
    await expectRefused(renamed, /fails authentication/, { generation: 8, digest: await digestOf(renamed) });
    await expectRefused(good, /fails authentication/, { imageKey: Buffer.alloc(32, 2) });
  });

  it('when it is a genuine image, but not the one with the digest asked for', async () => {
    await sealScene(scene, { pool });
    const other = await readFile(scene.seal.path);
    await expectRefused(other, /its digest is/, { digest: sealed.digest });
    await expectRefused(good, /its digest is/, { digest: '' });
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
    expect(await scene.outputs()).toEqual(['image-7']);
  });

  it('after all this the untouched image still opens', async () => {
    await openBytes(good, { digest: sealed.digest });
    expect(await scene.outputs()).toEqual(['image-7', 'restored.dev', 'restored.ram']);
    await rm(path.join(scene.directory, 'restored.dev'));
    await rm(path.join(scene.directory, 'restored.ram'));
  });
});

describe('a crafted length is refused before anything of its size is allocated:', () => {
  const before = (): number => process.memoryUsage().arrayBuffers;

  it('of the table', async () => {
    for (const at of [0n, 511n, BigInt(good.length), 2n ** 40n, 2n ** 63n]) {
      const bytes = Buffer.from(good);
      bytes.writeBigUInt64LE(at, good.length - 56);
      const start = before();
      await expectRefused(bytes, /impossible place/);
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
    await expect(scene.open({ ...sealed, digest: await digestOf(bytes) })).rejects.toThrow(/limit|whole pages/);
    await writeFile(scene.seal.path, good);
  });

  it('of what a genuine chunk unpacks to', () => {
    const place = { key: createSecretKey(Buffer.alloc(32)), headerHash: Buffer.alloc(32), index: 0, last: false };
    const into = Buffer.alloc(8192);
    const length = sealChunk(place, CHUNK_KIND.memory, Buffer.alloc(4 * MIB), into, 0);
    expect(openChunk(place, into.subarray(0, length)).payload.length).toBe(4 * MIB);
    expect(() => sealChunk(place, CHUNK_KIND.memory, Buffer.alloc(5 * MIB), into, 0)).toThrow(/too large/);
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
    const packed = Buffer.from(pack(Buffer.alloc(4 * MIB))!);
    for (const claimed of [0, 1, 4096, 4 * MIB - 1, 4 * MIB + 1]) {
      expect(() => openChunk(place, forged(2, claimed, packed))).toThrow(/does not unpack/);
    }
    expect(() => openChunk(place, forged(1, 0xffff_ffff, large))).toThrow(/above the limit/);
    expect(() => openChunk(place, forged(0, 5, Buffer.alloc(4)))).toThrow(/does not unpack/);
    expect(() => openChunk(place, forged(2, 4, Buffer.alloc(4)))).toThrow(/does not unpack/);
    expect(() => openChunk(place, forged(3, 4, Buffer.alloc(4)))).toThrow(/does not unpack/);
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
