import type { FileHandle } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { DraftSync } from '../../src/sealing/draft-sync.js';

const MIB = 1024 * 1024;

/** A file whose syncs end when the test says so. */
function slowFile(): { handle: FileHandle; syncs: PromiseWithResolvers<void>[] } {
  const syncs: PromiseWithResolvers<void>[] = [];
  const datasync = (): Promise<void> => {
    let resolve!: () => void;
    let reject!: (error: unknown) => void;
    const promise = new Promise<void>((yes, no) => ([resolve, reject] = [yes, no]));
    syncs.push({ promise, resolve, reject });
    return promise;
  };
  return { handle: { datasync } as FileHandle, syncs };
}
interface PromiseWithResolvers<T> {
  promise: Promise<T>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

it('syncs every 8 MiB, one at a time, and is settled when the last has ended', async () => {
  const { handle, syncs } = slowFile();
  const sync = new DraftSync(handle);
  sync.progress(7 * MIB);
  expect(syncs).toHaveLength(0);
  for (const written of [8, 9, 30]) sync.progress(written * MIB);
  expect(syncs).toHaveLength(1);
  let settled = false;
  const settling = sync.settle().then(() => (settled = true));
  await new Promise(setImmediate);
  expect(settled).toBe(false);
  syncs[0]!.resolve();
  await settling;
  sync.progress(15 * MIB);
  expect(syncs).toHaveLength(1);
  sync.progress(16 * MIB);
  expect(syncs).toHaveLength(2);
});

it('fails for good when one of them has failed: the kernel says it once', async () => {
  const { handle, syncs } = slowFile();
  const sync = new DraftSync(handle);
  sync.progress(8 * MIB);
  syncs[0]!.reject(new Error('input/output error'));
  await expect(sync.settle()).rejects.toThrow('input/output error');
  sync.progress(16 * MIB);
  syncs.at(-1)!.resolve();
  await expect(sync.settle()).rejects.toThrow('input/output error');
});
