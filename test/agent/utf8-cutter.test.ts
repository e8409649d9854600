import { expect, test } from 'vitest';
import { Utf8Cutter } from '../../src/agent/process/utf8-cutter.js';

test('wherever a text is cut, every piece is whole characters', () => {
  const text = Buffer.from('aé€😀z');
  for (let cut = 0; cut <= text.length; cut++) {
    const cutter = new Utf8Cutter();
    const pieces = [cutter.push(text.subarray(0, cut)), cutter.push(text.subarray(cut)), cutter.rest()];
    expect(pieces.map((piece) => piece.toString('utf8')).join('')).toBe('aé€😀z');
    expect(pieces.join('')).not.toContain('\uFFFD');
  }
});

test('bytes that are no text pass unchanged and are not held back', () => {
  const cutter = new Utf8Cutter();
  const noise = Buffer.from([0x80, 0xff, 0xc0, 0x80, 0x80, 0x80, 0x80]);
  expect(cutter.push(noise)).toEqual(noise);
  expect(cutter.push(Buffer.from([0xe2, 0x82])).length).toBe(0);
  expect(cutter.rest()).toEqual(Buffer.from([0xe2, 0x82]));
});
