import { execFileSync } from 'node:child_process';
import { access, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BLOCK_BYTES } from '../../src/sealing/seal-block.js';
import { sealImage } from '../../src/sealing/seal-image.js';
import { removeLeftovers } from '../../src/sealing/temporary-file.js';
import { createSealPool, type SealPool } from '../../src/sealing/worker-pool.js';
import { makeScene, noise, type Scene, sealScene } from './scene.js';

const MIB = 1024 * 1024;
const base = noise('base', 12 * BLOCK_BYTES);
const memory = Buffer.from(base).reverse();
const device = noise('device', 5000);
let scene: Scene;
beforeEach(async () => {
  scene = await makeScene(base, memory, device);
});
afterEach(() => scene.remove());

/** A pool that calls `act` once, before the given task. */
function interrupting(at: number, act: () => unknown): SealPool {
  const pool = createSealPool();
  let task = 0;
  return {
    ...pool,
    run: async (...args) => {
      if (task++ === at) await act();
      return pool.run(...args);
    },
  };
}

describe('sealing', () => {
  it('leaves no file when it is aborted, at once, half way or at the end', async () => {
    await expect(sealScene(scene, { signal: AbortSignal.abort(new Error('killed')) })).rejects.toThrow('killed');
    expect(await scene.outputs()).toEqual([]);
    for (const at of [0, 5, 12]) {
      const abort = new AbortController();
      const pool = interrupting(at, () => abort.abort(new Error('killed')));
      await expect(sealScene(scene, { signal: abort.signal, pool })).rejects.toThrow('killed');
      expect(await scene.outputs()).toEqual([]);
      await pool.close();
    }
  });

  it('keeps the image that was there before when it fails', async () => {
    await writeFile(scene.seal.path, 'the old one');
    const abort = new AbortController();
    const pool = interrupting(3, () => abort.abort(new Error('killed')));
    await expect(sealScene(scene, { signal: abort.signal, pool })).rejects.toThrow('killed');
    expect(await readFile(scene.seal.path, 'utf8')).toBe('the old one');
    await pool.close();
  });

  it('fails clearly and leaves no file when the memory shrinks, sizes differ or the device state is empty', async () => {
    const pool = interrupting(2, () => truncate(scene.seal.memoryPath, MIB));
    await expect(sealScene(scene, { pool })).rejects.toThrow(/became shorter/);
    await pool.close();
    await expect(sealScene(scene)).rejects.toThrow(/must be equal/);
    await writeFile(scene.seal.deviceStatePath, '');
    await expect(sealScene(scene)).rejects.toThrow(/is empty/);
    await writeFile(scene.seal.deviceStatePath, '');
    await truncate(scene.seal.deviceStatePath, 64 * MIB + 1);
    await expect(sealScene(scene)).rejects.toThrow(/above/);
    await rm(scene.seal.deviceStatePath);
    await expect(sealScene(scene)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await scene.outputs()).toEqual([]);
  });

  it('refuses what a hostile QEMU may put where its memory was, and does not wait for it', async () => {
    const { memoryPath, baseMemoryPath, deviceStatePath: _, ...memoryOnly } = scene.seal;
    const seal = { ...memoryOnly, memoryPath, baseMemoryPath };
    await rm(memoryPath);
    await symlink(baseMemoryPath, memoryPath);
    await expect(sealImage(seal)).rejects.toMatchObject({ code: 'ELOOP' });
    await rm(memoryPath);
    execFileSync('mkfifo', [memoryPath]);
    await expect(sealImage(seal)).rejects.toThrow(/is not a file/);
    expect(await scene.outputs()).toEqual([]);
  });

  it('keeps the files that it refers to when it fails, and can be repeated with them', async () => {
    const first = await sealScene(scene);
    const earlier = { generation: 7, digest: first.digest, pathOf: scene.pathOf };
    const next = { path: scene.pathOf(8), generation: 8, earlier };
    const abort = new AbortController();
    const pool = interrupting(5, () => abort.abort(new Error('killed')));
    await expect(sealScene(scene, { ...next, pool, signal: abort.signal })).rejects.toThrow('killed');
    await pool.close();
    expect(await scene.outputs()).toEqual(['image-7']);
    const second = await sealScene(scene, next);
    await scene.open(second, { path: next.path, generation: 8 });
    expect((await scene.restored()).memory.equals(await readFile(scene.seal.memoryPath))).toBe(true);
  });

  it('fails, leaves no file and can be repeated when its threads die', async () => {
    const dying: SealPool = interrupting(4, () => dying.close());
    const failed = sealScene(scene, { pool: dying });
    await expect(failed).rejects.toThrow(/thread/);
    expect(await scene.outputs()).toEqual([]);
    const sealed = await sealScene(scene, { pool: dying });
    await scene.open(sealed, { pool: dying });
    expect((await scene.restored()).memory.equals(await readFile(scene.seal.memoryPath))).toBe(true);
    await dying.close();
  });

  it('does not mix up several sandboxes that are sealed and opened at once', async () => {
    const others = await Promise.all(
      ['a', 'b', 'c'].map((id) =>
        makeScene(noise(`base ${id}`, 4 * MIB), noise(`guest ${id}`, 4 * MIB), noise(id, 99)),
      ),
    );
    await Promise.all(
      others.map(async (other) => {
        await other.open(await sealScene(other));
        expect((await other.restored()).memory.equals(await readFile(other.seal.memoryPath))).toBe(true);
        await other.remove();
      }),
    );
  });
});

describe('opening', () => {
  it('hands out nothing when it is aborted', async () => {
    const sealed = await sealScene(scene);
    for (const at of [0, 4, 12]) {
      const abort = new AbortController();
      const pool = interrupting(at, () => abort.abort(new Error('killed')));
      await expect(scene.open(sealed, { signal: abort.signal, pool })).rejects.toThrow('killed');
      expect(await scene.outputs()).toEqual(['image-7']);
      await pool.close();
    }
  });

  it('does not call the image damaged when the memory cannot be written', async () => {
    const sealed = await sealScene(scene);
    const error = await scene.open(sealed, { memoryPath: '/dev/null/x' }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ENOTDIR' });
    expect(await scene.outputs()).toEqual(['image-7']);
  });
});

it('what a crashed attempt left behind is removed, and nothing else', async () => {
  const { path: image } = scene.seal;
  const leftover = `${image}.0123456789abcdef.tmp`;
  const kept = [image, `${image}.tmp`, `${image}2.0123456789abcdef.tmp`, `${image}.0123456789abcdef.tmp.txt`];
  for (const file of [leftover, ...kept]) await writeFile(file, '');
  await removeLeftovers(image);
  await expect(access(leftover)).rejects.toThrow();
  for (const file of kept) await access(file);
});
