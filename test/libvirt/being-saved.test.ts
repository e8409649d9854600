import { expect, test } from 'vitest';
import { isSaveJob } from '../../src/libvirt/being-saved.js';

/** As virsh 11.3 prints it. */
const job = (operation: string): string =>
  [
    'Job type:         Unbounded   ',
    `Operation:        ${operation.padEnd(12)}`,
    'Time elapsed:     205          ms',
    '',
  ].join('\n');

test('a save is told from any other job, and from none', () => {
  expect([job('Save'), job('Restore'), job('Start'), 'Job type:         None        \n', ''].map(isSaveJob)).toEqual([
    ...[true, false, false, false, false],
  ]);
});
