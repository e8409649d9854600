import { randomFillSync } from 'node:crypto';
import { closeSync, ftruncateSync, fsyncSync, openSync, readFileSync, rmSync, mkdtempSync, writeSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { sealImage } from '../../src/sealing/seal-image.js';
import { copySparse, findExtents } from '../../src/sealing/sparse-copy.js';
import { makeScene, PAGE } from './scene.js';

const MIB = 1024 * 1024;

/** Program text, like much of a guest's memory: neither noise nor zeros. */
const program = readFileSync(process.execPath);

it('512 MiB with 170 MiB in use and 30 MiB differing is sealed and opened fast, and comes back the same', async () => {
  const scene = await makeScene(Buffer.alloc(PAGE), Buffer.alloc(PAGE), Buffer.from(program.subarray(0, 900_000)));
  const disk = mkdtempSync(path.join(process.cwd(), 'node_modules', '.sealing-speed-'));
  try {
    const { baseMemoryPath, memoryPath } = scene.seal;
    const base = openSync(baseMemoryPath, 'r+');
    ftruncateSync(base, 512 * MIB);
    for (let mib = 0; mib < 170; mib++) {
      writeSync(base, program, ((mib * 7) % 80) * MIB, MIB, mib * 3 * MIB + (mib % 5) * PAGE);
    }
    closeSync(base);
    await copySparseFresh(baseMemoryPath, memoryPath);
    const guest = openSync(memoryPath, 'r+');
    // 30 MiB in 240 runs of 32 pages; a fifth of it noise.
    const run = Buffer.alloc(32 * PAGE);
    for (let at = 0; at < 240; at++) {
      if (at % 5 === 0) randomFillSync(run);
      else program.copy(run, 0, (at * 170_000) % (60 * MIB));
      writeSync(guest, run, 0, run.length, at * 2 * MIB + (at % 13) * PAGE);
    }
    closeSync(guest);
    const extents = await timed('findExtents', () => findExtents(baseMemoryPath));
    const used = extents.reduce((sum, [, length]) => sum + length, 0);
    const image = path.join(disk, 'image');
    const sealed = await timed('seal', () => sealImage({ ...scene.seal, path: image, baseExtents: extents }));
    await timed('open', () => scene.open(sealed, { path: image }));
    const copy = path.join(scene.directory, 'copy.ram');
    await timed('copySparse', () => copySparse(baseMemoryPath, copy, extents));
    rmSync(copy);
    await timed('copySparse without extents', () => copySparse(baseMemoryPath, copy));
    rmSync(copy);
    const plain = path.join(disk, 'plain');
    await timed('disk alone: 20 MiB written and fsynced', () => {
      const fd = openSync(plain, 'w');
      writeSync(fd, program, 0, 20 * MIB);
      fsyncSync(fd);
      closeSync(fd);
    });
    console.log(`extents ${extents.length}, ${(used / MIB).toFixed(1)} MiB`);
    expect(readFileSync(path.join(scene.directory, 'restored.ram')).equals(readFileSync(memoryPath))).toBe(true);
    expect(sealed.storedPages).toBeGreaterThan(7000);
  } finally {
    rmSync(disk, { recursive: true, force: true });
    await scene.remove();
  }
}, 120_000);

async function copySparseFresh(source: string, destination: string): Promise<void> {
  rmSync(destination);
  await copySparse(source, destination);
}

async function timed<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  console.log(`${what}: ${((performance.now() - start) / 1000).toFixed(3)} s`);
  return result;
}
