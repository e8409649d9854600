import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createSealPool } from '../../src/sealing/worker-pool.js';

test('where no thread can be started every task is refused, and none waits for ever', async () => {
  const pool = createSealPool({ workers: 2, scriptUrl: new URL('http://127.0.0.1/not-a-script') });
  const device = { do: 'seal-device', fd: 0, offset: 0, bytes: 0 } as never;
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => pool.run(device)));
  expect(results.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
  await pool.close();
});

/** A thread that says in a file when it begins and ends a task, and takes a while for it. */
const SLOW = `
import { appendFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
parentPort.on('message', ({ file }) => {
  appendFileSync(file, 'begun ');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  appendFileSync(file, 'over ');
  parentPort.postMessage({ value: undefined });
});`;

test('a pool that is closed ends its threads after their tasks, not in the middle, and refuses all that were not done', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'seal-pool-'));
  const file = path.join(directory, 'said');
  const said = async (): Promise<string[]> => (await readFile(file, 'utf8').catch(() => '')).split(' ').sort();
  const pool = createSealPool({ workers: 2, scriptUrl: new URL(`data:text/javascript,${encodeURIComponent(SLOW)}`) });
  const results = Promise.allSettled(Array.from({ length: 6 }, () => pool.run({ file } as never)));
  await expect.poll(said, { interval: 10 }).toEqual(['', 'begun', 'begun']);
  await pool.close();
  expect(await said()).toEqual(['', 'begun', 'begun', 'over', 'over']);
  for (const result of await results)
    expect(result).toMatchObject({ status: 'rejected', reason: { message: expect.stringContaining('shut down') } });
  await rm(directory, { recursive: true });
});
