import { setImmediate as tick } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { pinned } from '../../src/libvirt/pinned.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function isThere(object: WeakRef<object>): Promise<boolean> {
  for (let times = 0; times < 5; times++) {
    collect();
    await tick();
  }
  return object.deref() !== undefined;
}

/** A call that lasts, and keeps nothing of its object itself, as those of the binding. */
function begin(): { object: WeakRef<object>; end: () => void; ended: Promise<void> } {
  let end!: () => void;
  const lasting = new Promise<void>((resolve) => (end = resolve));
  const object = { name: 'a machine' };
  return { object: new WeakRef(object), end, ended: pinned(object, () => lasting) };
}

test('an object of the binding is there as long as its call lasts, and no longer', async () => {
  const { object, end, ended } = begin();
  expect(await isThere(object)).toBe(true);
  end();
  await ended;
  expect(await isThere(object)).toBe(false);
});

test('an object whose call fails is let go, too', async () => {
  const { object, failed } = ((): { object: WeakRef<object>; failed: Promise<void> } => {
    const one = {};
    return { object: new WeakRef(one), failed: pinned(one, () => Promise.reject(new Error('libvirt said no'))) };
  })();
  await expect(failed).rejects.toThrow('libvirt said no');
  expect(await isThere(object)).toBe(false);
});
