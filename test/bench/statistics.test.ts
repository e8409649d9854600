import { expect, test } from 'vitest';
import { holds, median, medianIndex, ratio, row } from '../../src/bench/statistics.js';

test('the median is the middle one, or half-way between the two in the middle', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(() => median([])).toThrow('nothing was measured');
});

test('the run that stands for all is the one nearest to the median', () => {
  expect(medianIndex([9, 1, 5])).toBe(2);
  expect([3, 2]).toContain([1, 2, 4, 8][medianIndex([1, 2, 4, 8])]! + 1);
});

test('a row has the median of its runs, their number, and the smallest and the largest', () => {
  expect(row('pause', { goal: '<= 1 s', limit: 1 }, 's', [3, 1, 2])).toEqual({
    ...{ name: 'pause', goal: '<= 1 s', limit: 1, unit: 's', better: 'lower', runs: 3, value: 2, spread: [1, 3] },
  });
});

test('a ratio is that of the medians, and its spread the widest that the runs allow', () => {
  expect(ratio('pause', undefined, [2, 4, 3], [10, 5, 6])).toMatchObject({
    ...{ value: 0.5, spread: [2 / 10, 4 / 5], runs: 3, figure: '3.00 s beside 6.00 s' },
  });
});

test('a goal holds up to its limit and not beyond, in the direction that is better', () => {
  const at = (value: number, better: 'lower' | 'higher') =>
    holds({ ...row('x', { goal: '1', limit: 1 }, 's', [value]), better });
  expect([at(1, 'lower'), at(1.01, 'lower'), at(1, 'higher'), at(0.99, 'higher')]).toEqual([true, false, true, false]);
  expect(holds(row('x', undefined, 's', [1]))).toBeUndefined();
});
