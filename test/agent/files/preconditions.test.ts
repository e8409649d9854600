import type { IncomingHttpHeaders } from 'node:http';
import { expect, test } from 'vitest';
import { condition, lastModified } from '../../../src/agent/files/preconditions.js';

const WHEN = 'Sun, 06 Nov 1994 08:49:37 GMT';
const MODIFIED = Date.parse(WHEN) + 789;
const EARLIER = 'Sun, 06 Nov 1994 08:49:36 GMT';
const LATER = 'Sun, 06 Nov 1994 08:49:38 GMT';
const whole = { status: 200, range: undefined };
const part = { status: 200, range: 'r' };

test.each<[IncomingHttpHeaders, object]>([
  [{}, whole],
  [{ range: 'r' }, part],
  [{ 'if-match': '*' }, whole],
  [{ 'if-match': '"a", W/"b", *' }, whole],
  [{ 'if-match': '"a"' }, { status: 412 }],
  [{ 'if-match': 'a, *' }, { status: 412 }],
  [{ 'if-match': '*', 'if-unmodified-since': EARLIER }, whole],
  [{ 'if-unmodified-since': WHEN }, whole],
  [{ 'if-unmodified-since': EARLIER }, { status: 412 }],
  [{ 'if-unmodified-since': 'yesterday' }, whole],
  [{ 'if-none-match': '*' }, { status: 304 }],
  [{ 'if-none-match': '"a"' }, whole],
  [{ 'if-none-match': '"a"', 'if-modified-since': WHEN }, whole],
  [{ 'if-modified-since': WHEN }, { status: 304 }],
  [{ 'if-modified-since': LATER }, { status: 304 }],
  [{ 'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT' }, { status: 304 }],
  [{ 'if-modified-since': 'Sun Nov  6 08:49:37 1994' }, { status: 304 }],
  [{ 'if-modified-since': EARLIER }, whole],
  [{ 'if-modified-since': '1994-11-06T08:49:37Z' }, whole],
  [{ range: 'r', 'if-range': WHEN }, part],
  [{ range: 'r', 'if-range': LATER }, whole],
  [{ range: 'r', 'if-range': '"a"' }, whole],
])('a file without a tag that was modified then answers %j with %j', (headers, expected) => {
  expect(condition(headers, MODIFIED)).toEqual(expected);
});

test('the time of the last change is told in whole seconds, where it is known', () => {
  expect(lastModified(MODIFIED)).toBe(WHEN);
  for (const unknown of [0, 999, 8e15, NaN]) expect(lastModified(unknown)).toBeUndefined();
  expect(condition({ 'if-modified-since': LATER }, 0)).toEqual(whole);
});
