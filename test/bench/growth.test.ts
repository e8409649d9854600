import { expect, test } from 'vitest';
import { growthText, isFasterThanLinear, overLinear } from '../../src/bench/growth.js';

const curveOf = (f: (size: number) => number): [number, number][] =>
  [0, 2_500, 5_000, 10_000].map((size): [number, number] => [size, f(size)]);

test('a figure that grows with the square of the size is faster than linear', () => {
  const square = curveOf((size) => 0.1 + (size / 1_000) ** 2);
  expect(overLinear(square)).toBeCloseTo(100.1 / 50.1);
  expect(isFasterThanLinear(square)).toBe(true);
  expect(growthText(square)).toBe('**faster than linear** (2.0 x the line)');
});

test('a figure that grows with the size is not, whatever it begins with', () => {
  for (const begin of [0, 5, 500]) expect(isFasterThanLinear(curveOf((size) => begin + size / 100))).toBe(false);
  expect(growthText(curveOf((size) => 5 + size / 100))).toBe('at most linear');
});

test('what falls or stays in the middle and rises at the end is measured from its beginning', () => {
  expect(
    overLinear([
      [0, 10],
      [50, 8],
      [100, 12],
    ]),
  ).toBeCloseTo(1.2);
  expect(
    growthText([
      [0, 10],
      [50, 8],
      [100, 12],
    ]),
  ).toBe('does not grow');
  expect(
    isFasterThanLinear([
      [0, 10],
      [50, 10],
      [100, 20],
    ]),
  ).toBe(true);
});

test('a hundredth of a second says nothing', () => {
  expect(
    isFasterThanLinear([
      [0, 0.001],
      [50, 0.001],
      [100, 0.04],
    ]),
  ).toBe(false);
});

test('two sizes say nothing of growth', () => {
  expect(() =>
    overLinear([
      [0, 1],
      [10, 2],
    ]),
  ).toThrow('3 sizes');
});
