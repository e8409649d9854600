import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PART_BYTES } from '../../src/sealing/image-table.js';
import type { OpenOptions } from '../../src/sealing/open-image.js';
import { sealImage, type SealedImage, type SealOptions } from '../../src/sealing/seal-image.js';
import { makeScene, noise, type Scene, sealScene, tableOf } from './scene.js';

const MIB = 1024 * 1024;
const PARTS = 16;
let scene: Scene;
let memory: Buffer;
beforeEach(async () => {
  memory = Buffer.concat([noise('guest', 12 * PART_BYTES), Buffer.alloc(4 * PART_BYTES)]);
  scene = await makeScene(Buffer.alloc(PARTS * PART_BYTES), memory, noise('device', 5000));
});
afterEach(() => scene.remove());

/** Seals the guest as it is now, after an earlier image where one is named. */
async function pause(
  generation: number,
  before?: [generation: number, sealed: SealedImage],
  changes: Partial<SealOptions> = {},
): Promise<SealedImage> {
  await writeFile(scene.seal.memoryPath, memory);
  const earlier = before && { generation: before[0], digest: before[1].digest, pathOf: scene.pathOf };
  const path = scene.pathOf(generation);
  return sealScene(scene, { path, generation, ...(earlier ? { earlier } : {}), ...changes });
}

const open = (generation: number, sealed: SealedImage, changes: Partial<OpenOptions> = {}): Promise<void> =>
  scene.open(sealed, { path: scene.pathOf(generation), generation, ...changes });

async function expectOpens(generation: number, sealed: SealedImage): Promise<void> {
  await open(generation, sealed);
  expect((await scene.restored()).memory.equals(memory), `image of generation ${generation}`).toBe(true);
}

async function expectRefused(generation: number, sealed: SealedImage, file: number, problem: RegExp): Promise<void> {
  const error = await open(generation, sealed).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  expect(error, 'it was opened').toMatchObject({ code: 'ImageDamaged', path: scene.pathOf(file) });
  expect(error!.message).toMatch(problem);
}

const change = (part: number, seed: string): void => void noise(seed, 100).copy(memory, part * PART_BYTES + 777);

describe('a pause after an earlier one', () => {
  it('stores what has changed since, refers to the rest, and opens to the whole', async () => {
    const first = await pause(7);
    expect(first.files).toEqual([7]);
    change(3, 'b');
    memory.fill(0, 5 * PART_BYTES, 6 * PART_BYTES);
    noise('new', 50).copy(memory, 14 * PART_BYTES);
    const second = await pause(9, [7, first]);
    expect(second.files).toEqual([9, 7]);
    expect(second.bytes).toBeLessThan(PART_BYTES + 20_000);
    const { parts } = await tableOf(scene, second, 9);
    expect(parts.filter(({ file }) => file === 0).map(({ part }) => part)).toEqual([3, 14]);
    await expectOpens(9, second);
  });

  it('stores nothing of a guest that did not change', async () => {
    const second = await pause(8, [7, await pause(7)]);
    expect(second).toMatchObject({ files: [8, 7], storedPages: 0, zeroPages: 0 });
    expect(second.bytes).toBeLessThan(10_000);
    await expectOpens(8, second);
  });

  it('needs no earlier file when nothing is left of it', async () => {
    const first = await pause(7);
    memory = noise('all new', PARTS * PART_BYTES);
    const second = await pause(8, [7, first]);
    expect(second.files).toEqual([8]);
    await rm(scene.pathOf(7));
    await expectOpens(8, second);
  });

  it('opens after ten pauses with whatever changes, each as it was; and never needs more than eight files', async () => {
    const touched = fc.array(fc.array(fc.nat(PARTS - 1), { maxLength: 4 }), { minLength: 10, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(touched, fc.nat(), async (pauses, seed) => {
        let before: [number, SealedImage] | undefined;
        for (const [at, parts] of pauses.entries()) {
          for (const part of parts) {
            if ((seed + part + at) % 5 === 0) memory.fill(0, part * PART_BYTES, (part + 1) * PART_BYTES);
            else change(part, `${seed} ${at}`);
          }
          const generation = 10 + at;
          const sealed = await pause(generation, before);
          expect(sealed.files.length).toBeLessThanOrEqual(8);
          expect(sealed.files[0]).toBe(generation);
          for (let old = 10; old < generation; old++) {
            if (!sealed.files.includes(old)) await rm(scene.pathOf(old), { force: true });
          }
          await expectOpens(generation, sealed);
          before = [generation, sealed];
        }
        for (let old = 10; old < 20; old++) await rm(scene.pathOf(old), { force: true });
      }),
      { numRuns: 12 },
    );
  }, 120_000);
});

describe('what cannot be built on is left alone, and everything is stored:', () => {
  let first: SealedImage;
  beforeEach(async () => {
    first = await pause(7);
    change(1, 'b');
  });
  const expectWhole = async (before: [number, SealedImage], changes: Partial<SealOptions> = {}): Promise<void> => {
    const second = await pause(8, before, changes);
    expect(second.files).toEqual([8]);
    expect(second.bytes).toBeGreaterThan(12 * PART_BYTES);
    if (changes.templateKey === undefined) await expectOpens(8, second);
  };

  it('a missing image', async () => {
    await rm(scene.pathOf(7));
    await expectWhole([7, first]);
  });
  it('a damaged one', async () => {
    await truncate(scene.pathOf(7), first.bytes - 1);
    await expectWhole([7, first]);
    await writeFile(scene.pathOf(7), 'no image');
    await expectWhole([7, first]);
  });
  it('one whose own earlier file is missing', async () => {
    const second = await pause(8, [7, first]);
    await rm(scene.pathOf(7));
    const third = await pause(9, [8, second]);
    expect(third.files).toEqual([9]);
    await expectOpens(9, third);
  });
  it('one with another digest', () => expectWhole([7, { ...first, digest: 'f'.repeat(64) }]));
  it('one of another template', () => expectWhole([7, first], { templateKey: 'template-2' }));
  it('one of another key', async () => {
    const second = await pause(8, [7, first], { imageKey: Buffer.alloc(32, 9) });
    expect(second.files).toEqual([8]);
  });
  it('one that is not earlier: what an attempt at this very pause left', async () => {
    const again = await pause(7, [7, first]);
    expect(again.files).toEqual([7]);
    await expectOpens(7, again);
  });
  it('one of format version 1', async () => {
    const { vectors } = JSON.parse(await readFile(new URL('./vectors-1.json', import.meta.url), 'utf8')) as {
      vectors: { image: string }[];
    };
    await writeFile(scene.pathOf(7), Buffer.from(vectors[0]!.image, 'base64'));
    await expectWhole([7, first]);
  });
});

describe('an image that refers to others is refused, and the file at fault named,', () => {
  let first: SealedImage;
  let second: SealedImage;
  let third: SealedImage;
  beforeEach(async () => {
    first = await pause(7);
    change(1, 'b');
    second = await pause(8, [7, first]);
    change(2, 'c');
    third = await pause(9, [8, second]);
    expect(third.files).toEqual([9, 8, 7]);
  });

  it('with a flipped bit in the header, or in any chunk that it needs, of any of its files', async () => {
    const table = await tableOf(scene, third, 9);
    const generations = table.files.map(({ generation }) => generation);
    const offsets = [
      ...table.parts.flatMap(({ file, offset, length }) =>
        [offset, offset + length - 1].map((at) => [file, at] as const),
      ),
      ...generations.flatMap((_, file) => [0, 20, 48, 76, 511].map((at) => [file, at] as const)),
    ];
    expect(new Set(offsets.map(([file]) => file)).size).toBe(3);
    for (const [file, at] of offsets) {
      const path = scene.pathOf(generations[file]!);
      const good = await readFile(path);
      const bytes = Buffer.from(good);
      bytes[at]! ^= 1;
      await writeFile(path, bytes);
      await expectRefused(9, third, generations[file]!, /./);
      await writeFile(path, good);
    }
    await expectOpens(9, third);
  });

  it('when one is missing, cut short, or empty', async () => {
    await truncate(scene.pathOf(7), first.bytes / 2);
    await expectRefused(9, third, 7, /cut short/);
    await truncate(scene.pathOf(7), 0);
    await expectRefused(9, third, 7, /too short/);
    await rm(scene.pathOf(7));
    await expectRefused(9, third, 7, /not there/);
  });

  it('when one is of another attempt, another sandbox or another generation', async () => {
    const own = await readFile(scene.pathOf(7));
    await pause(7);
    await expectRefused(9, third, 7, /not the file that the image of generation 9 refers to/);
    await pause(7, undefined, { sandboxId: 'iother' });
    await expectRefused(9, third, 7, /sandbox id/);
    await copyFile(scene.pathOf(8), scene.pathOf(7));
    await expectRefused(9, third, 7, /generation is 8, expected 7/);
    await writeFile(scene.pathOf(7), own);
    await expectOpens(9, third);
  });

  it('when an older image is put in its place, however genuine', async () => {
    await copyFile(scene.pathOf(8), scene.pathOf(9));
    await expectRefused(9, third, 9, /generation is 8, expected 9/);
    await expect(open(8, third)).rejects.toThrow(/its digest is/);
  });

  it('when it is not told where they are', async () => {
    const error = await open(9, third, { pathOf: undefined as never }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ImageDamaged', path: scene.pathOf(9) });
  });
});

it('a part that was changed and changed back is that of the earlier image again', async () => {
  const first = await pause(7);
  const before = Buffer.from(memory);
  change(4, 'other');
  const second = await pause(8, [7, first]);
  before.copy(memory);
  const third = await pause(9, [8, second]);
  // Only the newest image counts: the old content is stored anew.
  expect(third.storedPages).toBeGreaterThan(0);
  await expectOpens(9, third);
});

it('a file of which little is still needed is let go, and what is needed of it stored anew', async () => {
  await scene.remove();
  memory = Buffer.alloc(16 * MIB);
  noise('large', 15 * MIB).copy(memory);
  scene = await makeScene(Buffer.alloc(16 * MIB), memory, noise('device', 10));
  const first = await pause(7);
  noise('most of it', 12 * MIB).copy(memory);
  const second = await pause(8, [7, first]);
  expect(second.files).toEqual([8, 7]);
  const third = await pause(9, [8, second]);
  expect(third.files).toEqual([9, 8]);
  expect(third.bytes).toBeLessThan(4 * MIB);
  await rm(scene.pathOf(7));
  await expectOpens(9, third);
});

it('a guest that mostly changes the same parts again and again takes up no more than some twice of what it uses', async () => {
  let before: [number, SealedImage] | undefined;
  const files = new Map<number, number>();
  for (let generation = 10; generation < 30; generation++) {
    noise(`often ${generation}`, 11 * PART_BYTES).copy(memory);
    noise(`seldom ${generation}`, PART_BYTES).copy(memory, (11 + (generation % 5)) * PART_BYTES);
    const sealed = await pause(generation, before);
    files.set(generation, sealed.bytes);
    const kept = sealed.files.reduce((sum, file) => sum + files.get(file)!, 0);
    expect(kept).toBeLessThan(2 * PARTS * PART_BYTES + MIB);
    before = [generation, sealed];
  }
});

describe('memory that was sealed ahead of time', () => {
  it('is what a pause builds on, and not an image that opens', async () => {
    const { deviceStatePath: _, ...memoryOnly } = scene.seal;
    await writeFile(scene.seal.memoryPath, memory);
    const first = await sealImage({ ...memoryOnly, path: scene.pathOf(7), generation: 7 });
    change(3, 'b');
    const second = await pause(8, [7, first]);
    expect(second.files).toEqual([8, 7]);
    await expectOpens(8, second);
    await expectRefused(7, first, 7, /no device state/);
  });
});
