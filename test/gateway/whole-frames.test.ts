import { describe, expect, test, vi } from 'vitest';
import { HeldBytes } from '../../src/gateway/held-bytes.js';
import { streamCut } from '../../src/gateway/refusals.js';
import { WholeFrames } from '../../src/gateway/whole-frames.js';

const frame = (payload: string, flags = 0): Buffer => {
  const header = Buffer.from([flags, 0, 0, 0, 0]);
  header.writeUInt32BE(Buffer.byteLength(payload), 1);
  return Buffer.concat([header, Buffer.from(payload)]);
};
const frames = [frame('{"event":{}}'), frame(''), frame('x'.repeat(100_000)), frame('{}', 2)];
const LONG = 1024 * 1024 + 1;
const ANY_ROOM = { take: () => true, give: () => undefined };

async function through(pieces: Buffer[], cut: boolean): Promise<{ out: Buffer; ended: boolean }> {
  const stream = new WholeFrames(streamCut, ANY_ROOM);
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

describe('a frame that trickles in one byte at a time', () => {
  const header = (length: number): Buffer => frame('x'.repeat(length)).subarray(0, 5);
  const BYTE = Buffer.from('x');

  test.each([80_000, 1024 * 1024 - 5])('of %i bytes is copied a few times, not once for every byte', async (length) => {
    let copied = 0;
    const reallyConcat = Buffer.concat.bind(Buffer);
    const concat = vi.spyOn(Buffer, 'concat').mockImplementation((...args) => {
      const joined = reallyConcat(...args);
      copied += joined.length;
      return joined;
    });
    const reallyCopy = Reflect.get(Buffer.prototype, 'copy') as (...args: unknown[]) => number;
    const copy = vi.spyOn(Buffer.prototype, 'copy').mockImplementation(function (this: Buffer, ...args: unknown[]) {
      const bytes = reallyCopy.apply(this, args);
      copied += bytes;
      return bytes;
    });
    try {
      const stream = new WholeFrames(streamCut, ANY_ROOM).resume();
      stream.write(header(length));
      for (let sent = 0; sent < Math.min(length, 100_000); sent += 1) stream.write(BYTE);
      await new Promise((resolve) => setImmediate(resolve));
      expect(copied).toBeLessThan(4 * length);
    } finally {
      concat.mockRestore();
      copy.mockRestore();
    }
  });

  test('and is long is not held at all', async () => {
    const { out } = await through([header(LONG), ...Array.from({ length: 100 }, () => BYTE)], true);
    expect(out.length).toBe(105);
  });

  test('is held only as long as its sandbox holds little; all room is given back', async () => {
    const held = new HeldBytes();
    const room = { take: (bytes: number) => held.take('i1', bytes), give: (bytes: number) => held.give('i1', bytes) };
    const streams = Array.from({ length: 1_000 }, () => new WholeFrames(streamCut, room));
    const passed = streams.map((stream) => {
      let bytes = 0;
      stream.on('data', (piece: Buffer) => (bytes += piece.length));
      return () => bytes;
    });
    for (const stream of streams) for (const piece of [header(80_000), Buffer.alloc(70_000)]) stream.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
    expect(held.of('i1')).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(passed.filter((bytes) => bytes() === 70_005).length).toBeGreaterThan(900);
    expect(held.take('i2', 1)).toBe(true);
    for (const [index, stream] of streams.entries()) {
      if (index % 2 === 0) stream.destroy();
      else stream.write(Buffer.alloc(10_000));
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(held.of('i1')).toBe(0);
  });
});
