import { expect, test } from 'vitest';
import { readStream } from '../../src/bench/run-command.js';

const frame = (flags: number, body: object): Buffer => {
  const text = Buffer.from(JSON.stringify(body));
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text]);
};
const data = (text: string): Buffer => frame(0, { event: { data: { stdout: Buffer.from(text).toString('base64') } } });

test('the output of a command is put together from its pieces, with its exit code', () => {
  const body = [frame(0, { event: { start: { pid: 7 } } }), data('one '), data('two')];
  expect(readStream(Buffer.concat([...body, frame(0, { event: { end: { exited: true } } }), frame(2, {})]))).toEqual({
    ...{ output: 'one two', exit: 0 },
  });
  expect(readStream(Buffer.concat([...body, frame(0, { event: { end: { exitCode: 3 } } })])).exit).toBe(3);
});

test('a stream that breaks off, or ends with an error, is no success', () => {
  expect(readStream(data('half')).exit).toBe('no end');
  expect(readStream(frame(2, { error: { message: 'it was paused' } })).exit).toBe('it was paused');
});
