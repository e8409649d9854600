import { expect, test } from 'vitest';
import { CLASSES } from './generate.js';
import { differential } from './run.js';
import { twoSandboxes } from './two-sandboxes.js';

const SEED = Number(process.env['DORMOUSE_SEED'] ?? 20_261);
const OF_EACH = 155;

test(`every server sees what its clients sent, and no byte of anybody else's (seed ${SEED})`, async () => {
  const scene = await twoSandboxes();
  try {
    const { requests, cases, wrong } = await differential({ seed: SEED, ofEach: OF_EACH, ...scene }, scene.seen);
    expect(wrong).toEqual([]);
    await expect.poll(() => scene.open()).toEqual([0, 0]);
    expect(requests).toBeGreaterThan(2_000);
    for (const name of CLASSES) expect(cases.filter((one) => one.class === name).length).toBeGreaterThanOrEqual(50);
  } finally {
    await scene.stop();
  }
}, 300_000);
