import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DiscardedMemory } from '../../src/host/discarded-memory.js';
import { createLogger } from '../../src/log.js';

let root: string;
let directory: string;
let discarded: DiscardedMemory;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'discarded-'));
  directory = path.join(root, 'discarded');
  discarded = new DiscardedMemory(directory, createLogger('test', 'silent'));
  await discarded.sweep();
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('what is discarded is out of the way at once, and free when it has settled', async () => {
  const memory = path.join(root, 'sandbox');
  await mkdir(memory);
  await writeFile(path.join(memory, 'ram'), Buffer.alloc(1024 * 1024, 'plain memory'));
  await discarded.discard(memory);
  expect(discarded.heldMiB).toBeCloseTo(1, 1);
  expect(await readdir(root)).toEqual(['discarded']);
  await mkdir(memory);
  await writeFile(path.join(memory, 'ram'), 'memory of its next machine');
  expect(await discarded.settled()).toBe(true);
  expect([await readdir(directory), await readdir(memory)]).toEqual([[], ['ram']]);
  expect([await discarded.settled(), discarded.heldMiB]).toEqual([false, 0]);
});

test('to discard what is not there is fine, and nothing to wait for', async () => {
  await discarded.discard(path.join(root, 'absent'));
  expect(await discarded.settled()).toBe(false);
});

test('what a process that died had not freed yet is freed by the next one', async () => {
  await writeFile(path.join(directory, 'left'), 'plain memory');
  await new DiscardedMemory(directory, createLogger('test', 'silent')).sweep();
  expect(await readdir(directory)).toEqual([]);
});

test('nothing that a hostile QEMU leaves beside its memory keeps it, or the next start, from being cleared', async () => {
  const memory = path.join(root, 'sandbox');
  await mkdir(memory);
  await symlink(path.join(root, 'nowhere'), path.join(memory, 'dangling'));
  // Deeper than any path reaches: made from the inside, as a process with a directory's handle can.
  const deep =
    'import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(20):\n  os.mkdir("d" * 250)\n  os.chdir("d" * 250)';
  execFileSync('python3', ['-c', deep, memory]);
  await discarded.discard(memory);
  await discarded.settled();
  expect(await readdir(directory)).toEqual([]);
  execFileSync('python3', ['-c', deep, directory]);
  await new DiscardedMemory(directory, createLogger('test', 'silent')).sweep();
  expect(await readdir(directory)).toEqual([]);
});
