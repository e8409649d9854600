import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunksOf1, makeScene, type Scene, sha256 } from './scene.js';

/** An image of format version 1, as it was published. */
const { vectors } = JSON.parse(await readFile(new URL('./vectors-1.json', import.meta.url), 'utf8')) as {
  vectors: (Record<'imageKey' | 'sandboxId' | 'templateKey' | 'digest' | 'image', string> &
    Record<'generation' | 'memoryBytes', number>)[];
};
const { imageKey, sandboxId, templateKey, generation, memoryBytes, digest, image } = vectors[1]!;
const good = Buffer.from(image, 'base64');
const chunks = chunksOf1(good);

let scene: Scene;
beforeAll(async () => {
  // What the template holds does not matter to whether an image is accepted.
  scene = await makeScene(Buffer.alloc(memoryBytes), Buffer.alloc(memoryBytes), Buffer.of(1));
});
afterAll(() => scene.remove());

async function open(bytes: Buffer, wanted = sha256(bytes)): Promise<void> {
  await writeFile(scene.seal.path, bytes);
  const sealed = { digest: wanted, bytes: bytes.length, files: [generation], storedPages: 0, zeroPages: 0 };
  await scene.open(sealed, { imageKey: Buffer.from(imageKey, 'hex'), sandboxId, templateKey, generation });
}
async function expectRefused(bytes: Buffer, problem: RegExp, wanted?: string): Promise<void> {
  const error = await open(bytes, wanted).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  );
  expect(error, 'the image was accepted').toMatchObject({ code: 'ImageDamaged' });
  expect(error!.message).toMatch(problem);
}

describe('an image of format version 1', () => {
  it('opens', () => open(good, digest));

  it('is refused with any bit flipped: every byte of header and frames, samples of the rest', async () => {
    const offsets = new Set(Array.from({ length: 512 }, (_, at) => at));
    for (const [start, end] of chunks) for (let at = 0; at < 16; at++) offsets.add(start + at).add(end - 1 - at);
    for (let at = 512; at < good.length; at += 499) offsets.add(at);
    for (const at of offsets) {
      const bytes = Buffer.from(good);
      bytes[at]! ^= 1 << (at % 8);
      await expectRefused(bytes, /./);
    }
  }, 60_000);

  it('is refused when it is cut short, longer, or in another order', async () => {
    const ends = [512, ...chunks.map(([, end]) => end)].filter((end) => end < good.length);
    for (const end of ends) await expectRefused(good.subarray(0, end), /cut short/);
    await expectRefused(Buffer.concat([good, Buffer.of(0)]), /cut short/);
    await expectRefused(Buffer.concat([good, good.subarray(...chunks.at(-1)!)]), /fails authentication/);
    const pieces = chunks.map(([start, end]) => good.subarray(start, end));
    const swapped = [pieces[1]!, pieces[0]!, ...pieces.slice(2)];
    await expectRefused(Buffer.concat([good.subarray(0, 512), ...swapped]), /fails authentication/);
  });

  it('is refused when it is not the one with the digest asked for, or says that it is of version 2', async () => {
    await expectRefused(good, /its digest is/, 'f'.repeat(64));
    const relabelled = Buffer.from(good);
    relabelled.writeUInt32LE(2, 8);
    await expectRefused(relabelled, /impossible place|its digest is/, digest);
  });
});
