import { expect, test } from 'vitest';
import { swapWarning } from '../../src/setup/swap.js';

const HEAD = 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n';

test('swap that reaches a disk is warned of by name', () => {
  expect(swapWarning(`${HEAD}/swap.img file 2097148 0 -2\n`)).toMatch(/\/swap\.img.*in the clear/);
});

test('no swap, and swap in compressed memory, are not warned of', () => {
  expect(swapWarning(HEAD)).toBeUndefined();
  expect(swapWarning(`${HEAD}/dev/zram0 partition 2097148 0 100\n`)).toBeUndefined();
});
