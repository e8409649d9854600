import { describe, expect, test } from 'vitest';
import { streamCut } from '../../src/gateway/refusals.js';
import { WholeFrames } from '../../src/gateway/whole-frames.js';

const frame = (payload: string, flags = 0): Buffer => {
  const header = Buffer.from([flags, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(payload), 1);
  return Buffer.concat([header, Buffer.from(payload)]);
};
const frames = [frame('{"event":{}}'), frame(''), frame('x'.repeat(100_000)), frame('{}', 2)];
const LONG = 1024 * 1024 + 1;

async function through(pieces: Buffer[], cut: boolean): Promise<{ out: Buffer; ended: boolean }> {
  const stream = new WholeFrames(streamCut);
  const out: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => out.push(bytes));
  for (const piece of pieces) stream.write(piece);
  if (!cut) stream.end();
  const ended = cut ? stream.cut(true) : true;
  await new Promise((resolve) => (ended ? stream.once('end', resolve) : setImmediate(resolve)));
  return { out: Buffer.concat(out), ended };
}

const pieces = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );

const CUT = frame(JSON.stringify({ error: streamCut(true) }), 2);

describe.each([3, 5, 64, 65_536])('a stream in pieces of %i bytes', (size) => {
  test('passes unchanged', async () => {
    const all = Buffer.concat(frames);
    expect((await through(pieces(all, size), false)).out.equals(all)).toBe(true);
  });

  test('is cut after its last whole frame, and ended with an error', async () => {
    const whole = Buffer.concat(frames.slice(0, 3));
    const { out } = await through(pieces(Buffer.concat([whole, frames[0]!.subarray(0, 8)]), size), true);
    expect(out.equals(Buffer.concat([whole, CUT]))).toBe(true);
  });
});

test('what ends in the middle of a frame by itself passes as it is', async () => {
  expect((await through([frames[0]!.subarray(0, 7)], false)).out.equals(frames[0]!.subarray(0, 7))).toBe(true);
});

test('a frame too long to be held passes at once, and can be cut only when it is over', async () => {
  const long = frame('x'.repeat(LONG));
  const begun = await through([long.subarray(0, 10)], true);
  expect([begun.ended, begun.out.length]).toEqual([false, 10]);
  const over = await through([long.subarray(0, 10), long.subarray(10), frames[0]!], true);
  expect(over.out.equals(Buffer.concat([long, frames[0]!, CUT]))).toBe(true);
});
