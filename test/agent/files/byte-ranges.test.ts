import { expect, test } from 'vitest';
import { askedRanges, contentRange, wrapping } from '../../../src/agent/files/byte-ranges.js';

/** Of a file of ten bytes. */
test.each([
  [undefined, []],
  ['', []],
  ['bytes=', []],
  ['bytes=,,', []],
  ['bytes=0-4', [[0, 4]]],
  ['bytes=2-', [[2, 9]]],
  ['bytes=-3', [[7, 9]]],
  ['bytes=-30', [[0, 9]]],
  ['bytes=5-100', [[5, 9]]],
  ['bytes= 1 - 2 , 4-4 ', [[1, 2], [4, 4]]], // prettier-ignore
  ['bytes=0-0,20-30', [[0, 0]]],
  ['bytes=0-9,0-0', []],
  ['bytes=10-', 'none'],
  ['bytes=10-5', 'none'],
  ['bytes=9007199254740993-9007199254740992', 'none'],
  ['bytes=-0', [[10, 9]]],
  ['bytes=5-4', 'invalid'],
  ['bytes=-', 'invalid'],
  ['bytes=--1', 'invalid'],
  ['bytes=1', 'invalid'],
  ['bytes=0-0,x-1', 'invalid'],
  ['bytes=0-9223372036854775808', 'invalid'],
  ['lines=0-4', 'invalid'],
  ['Bytes=0-4', 'invalid'],
])('the range %j is read as %j', (header, expected) => {
  const asked = askedRanges(header, 10);
  expect(Array.isArray(asked) ? asked.map(({ start, end }) => [start, end]) : asked).toEqual(expected);
});

test('what surrounds several ranges says which each is, and how long all is', () => {
  const ranges = [
    { start: 0, end: 1 },
    { start: 4, end: 4 },
  ];
  const { type, heads, tail, length } = wrapping(ranges, 10, 'text/plain', 'x');
  expect(type).toBe('multipart/byteranges; boundary=x');
  const body = `${heads[0]!.toString()}01${heads[1]!.toString()}4${tail.toString()}`;
  expect(body).toBe(
    '--x\r\nContent-Range: bytes 0-1/10\r\nContent-Type: text/plain\r\n\r\n01' +
      '\r\n--x\r\nContent-Range: bytes 4-4/10\r\nContent-Type: text/plain\r\n\r\n4\r\n--x--\r\n',
  );
  expect(length).toBe(body.length);
  expect(contentRange(ranges[0]!, 10)).toBe('bytes 0-1/10');
});
