import { afterAll, beforeAll, expect, test } from 'vitest';
import { utimes, writeFile } from 'node:fs/promises';
import { startAgent, type RunningAgent } from '../agent-process.js';

const WHEN = 'Sun, 06 Nov 1994 08:49:37 GMT';
const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) % 251));

let agent: RunningAgent;
beforeAll(async () => {
  agent = await startAgent();
  await writeFile(at('f.txt'), bytes);
  await utimes(at('f.txt'), 1, Date.parse(WHEN) / 1000 + 0.5);
});
afterAll(() => agent.stop());

const at = (name: string): string => `${agent.directory}/${name}`;
const ask = (headers: Record<string, string>, method = 'GET', file = at('f.txt')) =>
  agent.fetch(`/files?${new URLSearchParams({ path: file })}`, { method, headers });
const told = ({ status, headers }: Response) => [
  status,
  ...['content-range', 'content-length', 'accept-ranges', 'last-modified'].map((name) => headers.get(name)),
];
const content = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer());

test('a range is answered with those bytes alone, and a file with when it was modified', async () => {
  const whole = await ask({});
  expect(told(whole)).toEqual([200, null, '200000', 'bytes', WHEN]);
  expect((await content(whole)).equals(bytes)).toBe(true);
  const part = await ask({ range: 'bytes=100-149999' });
  expect(told(part)).toEqual([206, 'bytes 100-149999/200000', '149900', 'bytes', WHEN]);
  expect(part.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  expect((await content(part)).equals(bytes.subarray(100, 150_000))).toBe(true);
  expect((await content(await ask({ range: 'bytes=-5' }))).equals(bytes.subarray(-5))).toBe(true);
});

test('several ranges are the parts of one answer', async () => {
  const answer = await ask({ range: 'bytes=0-1,100000-189999' });
  const [, boundary] = /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers.get('content-type') ?? '') ?? [];
  const head = (range: string) =>
    `--${boundary}\r\nContent-Range: bytes ${range}/200000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n`;
  const expected = Buffer.concat([
    ...[Buffer.from(head('0-1')), bytes.subarray(0, 2)],
    ...[Buffer.from(`\r\n${head('100000-189999')}`), bytes.subarray(100_000, 190_000)],
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
  expect(told(answer)).toEqual([206, null, String(expected.length), 'bytes', WHEN]);
  expect((await content(answer)).equals(expected)).toBe(true);
});

test('a range that is not in the file is refused with the size of the file', async () => {
  const outside = await ask({ range: 'bytes=200000-' });
  expect(told(outside).slice(0, 2)).toEqual([416, 'bytes */200000']);
  expect(await outside.json()).toEqual({ code: 416, message: expect.stringContaining('200000') });
  const invalid = await ask({ range: 'bytes=2-1' });
  expect(told(invalid).slice(0, 2)).toEqual([416, null]);
  await invalid.body?.cancel();
});

test('a range of a file that has changed since is answered with the whole file', async () => {
  const same = await ask({ range: 'bytes=0-1', 'if-range': WHEN });
  const changed = await ask({ range: 'bytes=0-1', 'if-range': 'Sun, 06 Nov 1994 08:49:36 GMT' });
  expect([same.status, (await content(same)).length]).toEqual([206, 2]);
  expect([changed.status, (await content(changed)).length]).toEqual([200, 200_000]);
});

test('a file that is as the client knows it is not sent', async () => {
  const known = await ask({ 'if-modified-since': WHEN });
  expect(told(known)).toEqual([304, null, null, null, WHEN]);
  expect((await ask({ 'if-unmodified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' })).status).toBe(412);
});

test('HEAD is answered as GET, without the content', async () => {
  const answers = [await ask({}, 'HEAD'), await ask({ range: 'bytes=0-1' }, 'HEAD')];
  answers.push(await ask({ range: 'bytes=200000-' }, 'HEAD'), await ask({}, 'HEAD', '/proc/version'));
  expect(answers.map((answer) => told(answer).slice(0, 3))).toEqual([
    [200, null, '200000'],
    [206, 'bytes 0-1/200000', '2'],
    [416, 'bytes */200000', expect.any(String)],
    [200, null, null],
  ]);
  for (const answer of answers) expect((await content(answer)).length).toBe(0);
  expect((await ask({}, 'HEAD', at('missing'))).status).toBe(404);
});

test('a file of the kernel is read to its end, whatever size it tells and range is asked for', async () => {
  for (const file of ['/proc/sys/kernel/ostype', '/sys/class/net/lo/mtu']) {
    const answer = await ask({ range: 'bytes=0-1' }, 'GET', file);
    expect([answer.status, answer.headers.get('accept-ranges')]).toEqual([200, null]);
    expect((await answer.text()).endsWith('\n')).toBe(true);
  }
});
