import { expect, test } from 'vitest';
import { Seldom } from '../../src/relay/seldom.js';

test('a thousand failures of one sandbox are one line a minute, without a stack, that tells how many they were', () => {
  const lines: object[] = [];
  let now = 0;
  const seldom = new Seldom({ warn: (fields: object) => void lines.push(fields) }, () => now);
  const fail = (id: string): void => seldom.warn(id, { sandbox: id }, new Error('no room'), 'could not be woken');
  for (let count = 0; count < 1_000; count += 1) fail('i1');
  fail('i2');
  now = 60_000;
  fail('i1');
  expect(lines).toEqual([
    { sandbox: 'i1', why: 'no room' },
    { sandbox: 'i2', why: 'no room' },
    { sandbox: 'i1', why: 'no room', leftOut: 999 },
  ]);
});
