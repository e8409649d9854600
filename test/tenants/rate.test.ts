import { expect, test } from 'vitest';
import { takeToken, type Bucket } from '../../src/tenants/rate.js';

const PER_SECOND = { count: 4, perMs: 1_000 };

function takeAt(bucket: Bucket | undefined, times: number[]): { bucket: Bucket | undefined; waits: number[] } {
  const waits: number[] = [];
  let now = bucket;
  for (const at of times) {
    const taken = takeToken(now, PER_SECOND, at);
    now = taken.bucket;
    waits.push(taken.waitMs);
  }
  return { bucket: now, waits };
}

test('as many as the rate come at once; the next one is told when there is room', () => {
  expect(takeAt(undefined, [0, 0, 0, 0, 0]).waits).toEqual([0, 0, 0, 0, 250]);
});

test('who waits as long as was said is let in, and who comes sooner costs nothing', () => {
  const { bucket } = takeAt(undefined, [0, 0, 0, 0]);
  expect(takeAt(bucket, [100, 200, 250]).waits).toEqual([150, 50, 0]);
});

test('a long silence saves no more than one burst', () => {
  const { bucket } = takeAt(undefined, [0]);
  expect(takeAt(bucket, [1e9, 1e9, 1e9, 1e9, 1e9]).waits).toEqual([0, 0, 0, 0, 250]);
});

test('a rate that is lowered counts at once', () => {
  const { bucket } = takeAt(undefined, [0]);
  const one = takeToken(bucket, { count: 1, perMs: 1_000 }, 0);
  expect(one.waitMs).toBe(0);
  expect(takeToken(one.bucket, { count: 1, perMs: 1_000 }, 0).waitMs).toBe(1_000);
});
