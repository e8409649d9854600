import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { inLanes } from '../../src/bench/machineless/lanes.js';

test('everything is done once, and no more at once than asked', async () => {
  const done: number[] = [];
  let now = 0;
  let most = 0;
  await inLanes(3, 20, async (index) => {
    most = Math.max(most, ++now);
    await delay(1);
    now--;
    done.push(index);
  });
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(most).toBe(3);
});

test('a failure ends it, and nothing goes on after it is said', async () => {
  let begun = 0;
  const work = inLanes(2, 100, async (index) => {
    begun++;
    await delay(1);
    if (index === 5) throw new Error('number 5');
  });
  await expect(work).rejects.toThrow('number 5');
  const then = begun;
  expect(then).toBeLessThan(20);
  await delay(10);
  expect(begun).toBe(then);
});
