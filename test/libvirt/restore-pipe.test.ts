import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removePipe, restoreThroughPipe } from '../../src/libvirt/restore-pipe.js';

const HEAD = Buffer.from('head, of which each reader takes one'.padEnd(5_000, '.'));
/** Many times what a pipe holds. */
const STREAM = randomBytes(900_000);

let directory: string;
let pipe: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'restore-pipe-'));
  pipe = path.join(directory, 'restore');
});
afterEach(() => rm(directory, { recursive: true }));

/** A reader as libvirt is one: opens, takes so many bytes, closes. A process, as an open of a pipe may wait. */
const take = (bytes: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const reader = spawn('head', ['-c', String(bytes), pipe]);
    const chunks: Buffer[] = [];
    reader.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    reader.on('error', reject);
    reader.on('close', () => resolve(Buffer.concat(chunks)));
  });

const restore = (stream: Promise<Buffer>, reader: () => Promise<void>): Promise<void> =>
  restoreThroughPipe(pipe, [HEAD, HEAD], stream, reader);

test('each of two readers finds a head, and the second one the stream', async () => {
  let first: Buffer | undefined;
  let second: Buffer | undefined;
  await restore(Promise.resolve(STREAM), async () => {
    first = await take(HEAD.length);
    second = await take(HEAD.length + STREAM.length);
  });
  expect(first).toEqual(HEAD);
  expect(second?.equals(Buffer.concat([HEAD, STREAM]))).toBe(true);
  expect(await readdir(directory)).toEqual([]);
});

test('a reader that comes late finds all of it', async () => {
  let read: Buffer | undefined;
  await restore(Promise.resolve(STREAM), async () => {
    await delay(300);
    read = await take(2 * HEAD.length + STREAM.length);
  });
  expect(read?.equals(Buffer.concat([HEAD, HEAD, STREAM]))).toBe(true);
});

test('a reader waits for a stream that comes late, and sees no end before', async () => {
  let come: (stream: Buffer) => void = () => undefined;
  let read = false;
  const restoring = restore(new Promise((resolve) => (come = resolve)), async () => {
    await take(2 * HEAD.length + STREAM.length);
    read = true;
  });
  await delay(400);
  expect(read).toBe(false);
  come(STREAM);
  await restoring;
  expect(read).toBe(true);
});

test('a reader that goes away early, or never comes, ends the restore with what it says', async () => {
  const gone = restore(Promise.resolve(STREAM), async () => {
    await take(HEAD.length + 10);
    throw new Error('QEMU has died');
  });
  await expect(gone).rejects.toThrow('QEMU has died');
  const never = restore(Promise.resolve(STREAM), () => Promise.reject(new Error('libvirt is away')));
  await expect(never).rejects.toThrow('libvirt is away');
  expect(await readdir(directory)).toEqual([]);
});

test('a restore that fails does not wait for a stream that is still to come', async () => {
  const endless = new Promise<Buffer>(() => undefined);
  await expect(restore(endless, () => Promise.reject(new Error('libvirt is away')))).rejects.toThrow('libvirt is away');
});

test('without a stream the reader gets something that is none, and the reason is told in place of its own', async () => {
  let read: Buffer | undefined;
  const refused = restore(Promise.reject(new Error('the image is damaged')), async () => {
    read = await take(2 * HEAD.length + 8);
    throw new Error('not a migration stream');
  });
  await expect(refused).rejects.toThrow('the image is damaged');
  expect(read!.subarray(2 * HEAD.length)).toEqual(Buffer.alloc(8));
});

test('a restore that claims to have worked without a stream is none', async () => {
  await expect(restore(Promise.reject(new Error('the image is damaged')), () => Promise.resolve())).rejects.toThrow(
    'the image is damaged',
  );
});

test('what an earlier attempt left there is replaced', async () => {
  execFileSync('mkfifo', [pipe]);
  let read: Buffer | undefined;
  await restore(Promise.resolve(STREAM), async () => {
    read = await take(HEAD.length);
  });
  expect(read).toEqual(HEAD);
});

test('a reader that waits for a writer which has died is let go', async () => {
  execFileSync('mkfifo', [pipe]);
  const waiting = take(1);
  await delay(300);
  removePipe(pipe);
  expect(await waiting).toEqual(Buffer.alloc(0));
  expect(await readdir(directory)).toEqual([]);
  removePipe(pipe);
});

test('a reader that waits for the maker of an earlier pipe is let go when the next one is made', async () => {
  execFileSync('mkfifo', [pipe]);
  const waiting = take(1);
  await delay(300);
  await restore(Promise.resolve(STREAM), async () => {
    await take(HEAD.length);
  });
  await waiting;
});

test('a reader that wants more than there is sees the end of the stream instead of waiting', async () => {
  let read: Buffer | undefined;
  await restore(Promise.resolve(STREAM), async () => {
    await take(HEAD.length);
    read = await take(HEAD.length + STREAM.length + 1);
  });
  expect(read?.equals(Buffer.concat([HEAD, STREAM]))).toBe(true);
});
