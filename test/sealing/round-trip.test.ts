import { open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { readImageHeader } from '../../src/sealing/image-header.js';
import { digestOf, IMAGE_KEY, makeScene, noise, PAGE, type Scene, sealScene } from './scene.js';

const MIB = 1024 * 1024;
const scenes: Scene[] = [];
afterEach(() => Promise.all(scenes.splice(0).map((scene) => scene.remove())));

async function scene(base: Buffer, memory: Buffer, device: Buffer): Promise<Scene> {
  const made = await makeScene(base, memory, device);
  scenes.push(made);
  return made;
}

describe('a sealed image', () => {
  it('comes back bit by bit: changed, zeroed, equal and newly used pages, device state above one chunk', async () => {
    const base = Buffer.concat([noise('base', 5 * MIB), Buffer.alloc(3 * MIB)]);
    const memory = Buffer.from(base);
    noise('changed', 3 * PAGE).copy(memory, 17 * PAGE);
    memory.fill(0, 600 * PAGE, 900 * PAGE);
    memory.fill('compressible ', 6 * MIB, 7 * MIB);
    memory[8 * MIB - 1] = 1;
    const device = noise('device', 2 * MIB + 12_345);
    const it = await scene(base, memory, device);
    const sealed = await sealScene(it);
    expect(sealed).toMatchObject({ storedPages: 3 + 256 + 1, zeroPages: 300 });
    const file = await readFile(it.seal.path);
    expect(sealed.bytes).toBe(file.length);
    expect(sealed.digest).toBe(await digestOf(file));
    expect((await stat(it.seal.path)).mode & 0o777).toBe(0o600);
    await it.open(sealed);
    const restored = await it.restored();
    expect(restored.memory.equals(memory)).toBe(true);
    expect(restored.device.equals(device)).toBe(true);
    expect(await it.outputs()).toEqual(['image-7', 'restored.dev', 'restored.ram']);
  });

  it('holds only the pages that differ: none of an unchanged guest, and nothing for a page that became zero', async () => {
    const base = noise('base', 4 * MIB);
    const same = await scene(base, base, Buffer.of(1));
    const unchanged = await sealScene(same);
    expect(unchanged).toMatchObject({ storedPages: 0, zeroPages: 0 });
    expect(unchanged.bytes).toBeLessThan(700);
    await same.open(unchanged);
    expect((await same.restored()).memory.equals(base)).toBe(true);

    const zeroed = await scene(base, Buffer.alloc(4 * MIB), Buffer.of(1));
    const empty = await sealScene(zeroed);
    expect(empty).toMatchObject({ storedPages: 0, zeroPages: 1024 });
    // A part that is only marked costs its place in the table and a chunk without pages.
    expect(empty.bytes).toBeLessThan(700 + 16 * 110);
    await zeroed.open(empty);
    expect((await zeroed.restored()).memory.equals(Buffer.alloc(4 * MIB))).toBe(true);
  });

  it('takes what a guest has given back, a hole in its memory file, for zero over what the template has there', async () => {
    const base = noise('base', 4 * MIB);
    const it = await scene(base, Buffer.alloc(0), Buffer.of(1));
    await truncate(it.seal.memoryPath, 4 * MIB);
    const guest = await open(it.seal.memoryPath, 'r+');
    await guest.write(noise('kept', PAGE), 0, PAGE, 700 * PAGE);
    await guest.close();
    expect((await stat(it.seal.memoryPath)).blocks * 512).toBeLessThan(MIB);
    const sealed = await sealScene(it, { baseExtents: [[0, 4 * MIB]] });
    expect(sealed).toMatchObject({ storedPages: 1, zeroPages: 1023 });
    await it.open(sealed);
    const memory = Buffer.alloc(4 * MIB);
    noise('kept', PAGE).copy(memory, 700 * PAGE);
    expect((await it.restored()).memory.equals(memory)).toBe(true);
  });

  it('is the same with the extents of the template as without them', async () => {
    const base = Buffer.alloc(8 * MIB);
    noise('base', 40 * PAGE).copy(base, 3 * MIB - 20 * PAGE);
    const memory = Buffer.from(base);
    noise('new', 9 * PAGE).copy(memory, 6 * MIB);
    memory.fill(0, 3 * MIB, 3 * MIB + PAGE);
    const it = await scene(base, memory, Buffer.of(1));
    const baseExtents: [number, number][] = [[3 * MIB - 20 * PAGE, 40 * PAGE]];
    for (const extents of [undefined, baseExtents]) {
      const sealed = await sealScene(it, extents === undefined ? {} : { baseExtents: extents });
      expect(sealed).toMatchObject({ storedPages: 9, zeroPages: 1 });
      await it.open(sealed);
      expect((await it.restored()).memory.equals(memory)).toBe(true);
    }
  });

  it('shows nothing of the memory, the device state or the key, however compressible they are', async () => {
    const marker = Buffer.from('THE-GUEST-KNOWS-A-SECRET/');
    const memory = Buffer.alloc(2 * MIB);
    for (let at = 0; at + marker.length < memory.length; at += 5000) marker.copy(memory, at);
    const it = await scene(Buffer.alloc(2 * MIB), memory, Buffer.concat([marker, noise('d', 5000), marker]));
    await sealScene(it);
    const file = await readFile(it.seal.path);
    expect(file.includes(marker.subarray(0, 8))).toBe(false);
    expect(file.includes(IMAGE_KEY)).toBe(false);
  });

  it('is different at every attempt, so that no key and nonce come together twice', async () => {
    const it = await scene(Buffer.alloc(PAGE), noise('m', PAGE), Buffer.of(1));
    await sealScene(it);
    const first = await readFile(it.seal.path);
    await sealScene(it);
    const second = await readFile(it.seal.path);
    expect(first.subarray(16, 48)).not.toEqual(second.subarray(16, 48));
    expect(first.length).toBe(second.length);
    const same = first.subarray(512).filter((byte, at) => byte === second[512 + at]).length;
    expect(same).toBeLessThan(first.length / 50);
  });

  it('tells its header without a key', async () => {
    const it = await scene(Buffer.alloc(3 * PAGE), noise('m', 3 * PAGE), noise('d', 99));
    await sealScene(it);
    expect(await readImageHeader(it.seal.path)).toMatchObject({
      formatVersion: 2,
      sandboxId: it.seal.sandboxId,
      generation: 7,
      templateKey: 'template-1',
      memoryBytes: 3 * PAGE,
      deviceStateBytes: 99,
    });
    await writeFile(it.seal.path, 'short');
    await expect(readImageHeader(it.seal.path)).rejects.toMatchObject({ code: 'ImageDamaged' });
  });

  it('round-trips whatever pages change in whatever way', async () => {
    const change = fc.constantFrom('same', 'zero', 'noise', 'text', 'one bit');
    const pages = fc.array(fc.tuple(fc.boolean(), change), { minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(pages, fc.uint8Array({ minLength: 1, maxLength: 3000 }), async (guest, device) => {
        const base = Buffer.concat(guest.map(([used], at) => (used ? noise(`b${at}`, PAGE) : Buffer.alloc(PAGE))));
        const memory = Buffer.from(base);
        guest.forEach(([, how], at) => {
          const page = memory.subarray(at * PAGE, (at + 1) * PAGE);
          if (how === 'zero') page.fill(0);
          if (how === 'noise') noise(`g${at}`, PAGE).copy(page);
          if (how === 'text') page.fill('text');
          if (how === 'one bit') page[at]! ^= 4;
        });
        const one = await makeScene(base, memory, Buffer.from(device));
        try {
          const sealed = await sealScene(one);
          await one.open(sealed);
          const restored = await one.restored();
          expect(restored.memory.equals(memory)).toBe(true);
          expect(restored.device.equals(Buffer.from(device))).toBe(true);
          const differing = guest.filter((_, at) => {
            const range = [at * PAGE, (at + 1) * PAGE] as const;
            return !memory.subarray(...range).equals(base.subarray(...range));
          });
          expect(sealed.storedPages + sealed.zeroPages).toBe(differing.length);
        } finally {
          await one.remove();
        }
      }),
      { numRuns: 60 },
    );
  });
});
