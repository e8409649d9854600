import { describe, expect, test } from 'vitest';
import { frameScanner } from '../../src/gateway/connect-frames.js';

const frame = (payload: string, flags = 0): Buffer => {
  const body = Buffer.from(payload);
  const header = Buffer.alloc(5);
  header[0] = flags;
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
};
const KEEPALIVE = frame('{"event":{"keepalive":{}}}');
const WATCH_KEEPALIVE = frame('{"keepalive":{}}');
const PIECE = Buffer.alloc(65_536);

/** Whether any piece counted, with the bytes cut into pieces of `size`. */
function active(bytes: Buffer, size: number): boolean {
  const scan = frameScanner();
  let any = false;
  for (let at = 0; at < bytes.length; at += size) any = scan(bytes.subarray(at, at + size)) || any;
  return any;
}

describe.each([1, 2, 3, 5, 7, 64, 1 << 20])('a stream cut into pieces of %i bytes', (size) => {
  test('of keepalives alone is no activity', () => {
    const spaced = frame('{ "event" : { "keepalive" : { } } }\n');
    expect(active(Buffer.concat([KEEPALIVE, WATCH_KEEPALIVE, spaced, KEEPALIVE]), size)).toBe(false);
  });

  test.each([
    ['data', frame('{"event":{"data":{"stdout":"aGk="}}}')],
    ['a frame longer than any keepalive', frame(`{"keepalive":{}}${' '.repeat(200)}`)],
    ['the end of the stream', frame('{}', 2)],
    ['a keepalive that is marked as compressed', frame('{"keepalive":{}}', 1)],
    ['a keepalive with something in it', frame('{"keepalive":{"a":1}}')],
    ['a keepalive with something beside it', frame('{"keepalive":{},"event":{}}')],
    ['an empty frame', frame('')],
    ['no JSON', frame('{"keepalive":{}')],
  ])('with %s among the keepalives is activity', (_name, other) => {
    expect(active(Buffer.concat([KEEPALIVE, other, KEEPALIVE]), size)).toBe(true);
  });
});

test('each piece is judged by itself', () => {
  const scan = frameScanner();
  expect(scan(KEEPALIVE)).toBe(false);
  expect(scan(frame('{"event":{"data":{}}}'))).toBe(true);
  expect(scan(KEEPALIVE)).toBe(false);
});

test('a frame that claims 4 GiB costs no memory and counts with every piece', () => {
  const scan = frameScanner();
  expect(scan(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))).toBe(true);
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < 1000; i += 1) expect(scan(PIECE)).toBe(true);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
});
