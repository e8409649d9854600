import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { niceOf, setGroupNice } from '../../src/libvirt/group-nice.js';

let run: string;
let proc: string;
beforeEach(async () => {
  run = await mkdtemp(path.join(tmpdir(), 'group-nice-'));
  proc = path.join(run, 'proc');
  await mkdir(path.join(proc, 'sys/kernel'), { recursive: true });
  await mkdir(path.join(proc, '77'));
  await writeFile(path.join(proc, 'sys/kernel/sched_autogroup_enabled'), '1\n');
  await writeFile(path.join(run, 'm1.pid'), '77\n');
});
afterEach(() => rm(run, { recursive: true }));

test('half a share is three steps of nice, and the least share the last one', () => {
  expect([1, 0.5, 0.25, 0.001].map(niceOf)).toEqual([0, 3, 6, 19]);
});

test('the session of a machine’s QEMU gets the nice value of its share', async () => {
  expect(await setGroupNice('m1', 0.5, { run, proc })).toBe(true);
  expect(await readFile(path.join(proc, '77/autogroup'), 'utf8')).toBe('3');
});

test('a machine that is gone, and a kernel that divides nothing among sessions, give no share', async () => {
  expect(await setGroupNice('m2', 0.5, { run, proc })).toBe(false);
  await writeFile(path.join(proc, 'sys/kernel/sched_autogroup_enabled'), '0\n');
  expect(await setGroupNice('m1', 0.5, { run, proc })).toBe(false);
});
