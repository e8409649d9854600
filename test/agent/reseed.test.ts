import { expect, test } from 'vitest';
import { sequenceOf } from '../../src/agent/reseed.js';

test('a reseed is told from other records of the kernel by its words, and has its sequence number', () => {
  expect(sequenceOf('6,812,3599123,-;random: crng reseeded due to virtual machine fork\n')).toBe(812);
  expect(sequenceOf('6,813,3599123,-;random: crng init done\n SUBSYSTEM=x\n')).toBe(-1);
  expect(sequenceOf('crng reseeded due to virtual machine fork')).toBe(-1);
});
