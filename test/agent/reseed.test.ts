import { expect, test } from 'vitest';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RESEED_RECORD, ReseedWatch, sequenceOf } from '../../src/agent/reseed.js';

test('a reseed is told from other records of the kernel by its words, and has its sequence number', () => {
  expect(sequenceOf('6,812,3599123,-;random: crng reseeded due to virtual machine fork\n')).toBe(812);
  expect(sequenceOf('6,813,3599123,-;random: crng init done\n SUBSYSTEM=x\n')).toBe(-1);
  expect(sequenceOf('crng reseeded due to virtual machine fork')).toBe(-1);
});

const here = (): boolean => false;

test('a reseed is waited for, is that of one wake and of nobody who has gone, and none so far is said to be that', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'reseed-'));
  const log = path.join(directory, 'kmsg');
  const reseed = (sequence: number): Promise<void> => appendFile(log, `6,${sequence},0,-;${RESEED_RECORD}\n`);
  try {
    await writeFile(log, '');
    const watch = new ReseedWatch(log);
    await expect(watch.waitFor('a', here, 20)).rejects.toMatchObject({ status: 503 });
    const waiting = [watch.waitFor('a', here), watch.waitFor('a', here)];
    await reseed(7);
    // Whichever of the two looks first.
    expect((await Promise.all(waiting)).sort()).toEqual([false, true]);
    expect(await watch.waitFor('a', here, 20)).toBe(false);
    for (const wake of ['b', undefined]) {
      await expect(watch.waitFor(wake, here, 20)).rejects.toMatchObject({ status: 503 });
    }
    await reseed(8);
    expect(await watch.waitFor('b', here)).toBe(true);
    await expect(watch.waitFor('a', here, 20)).rejects.toMatchObject({ status: 503 });
    await reseed(9);
    await expect(watch.waitFor('c', () => true)).rejects.toMatchObject({ status: 503 });
    expect(await watch.waitFor('d', here)).toBe(true);
    await reseed(10);
    watch.pass();
    await expect(watch.waitFor('e', here, 20)).rejects.toMatchObject({ status: 503 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
