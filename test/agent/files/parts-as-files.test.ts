import { expect, test } from 'vitest';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { partsAsFiles } from '../../../src/agent/files/parts-as-files.js';

const FORM = '--b\r\nA: 1\r\n\r\none\r\n--b\r\n\r\n--b\r\ntwo\r\n--bb\r\n\r\n--b--\r\n';
const TYPED = 'Content-Type: application/octet-stream\r\n';
const EXPECTED = `--b\r\n${TYPED}A: 1\r\n\r\none\r\n--b\r\n${TYPED}\r\n--b\r\n${TYPED}two\r\n--bb\r\n\r\n--b--\r\n`;

test('each part begins with the type of bytes, however its form is cut into pieces', async () => {
  for (let length = 1; length <= FORM.length; length += 1) {
    const pieces = FORM.match(new RegExp(`[^]{1,${length}}`, 'g'))!.map((piece) => Buffer.from(piece));
    const passed = Readable.from(pieces).pipe(partsAsFiles('multipart/form-data; charset=x; Boundary="b"')!);
    expect((await buffer(passed)).toString()).toBe(EXPECTED);
  }
});

test('what is no form goes through as it is', async () => {
  for (const text of ['', '\r', '\r\n', 'nothing', '--', '--b\r']) {
    const passed = Readable.from([Buffer.from(text)]).pipe(partsAsFiles('multipart/form-data; boundary=b')!);
    expect((await buffer(passed)).toString()).toBe(text);
  }
  expect(partsAsFiles('multipart/form-data')).toBeUndefined();
  expect(partsAsFiles('multipart/form-data; boundary="a\\"b"')).toBeUndefined();
});
