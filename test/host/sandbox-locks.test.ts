import { describe, expect, test } from 'vitest';
import { SandboxLocks } from '../../src/host/sandbox-locks.js';

const forever = new AbortController().signal;

describe("a sandbox's lock", () => {
  test('lets one caller in at a time, in any order of arrival', async () => {
    const locks = new SandboxLocks();
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, (_, generation) =>
        locks.hold('a', generation, forever, async () => {
          most = Math.max(most, ++inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside--;
        }),
      ),
    );
    expect(most).toBe(1);
  });

  test('does not hold up another sandbox', async () => {
    const locks = new SandboxLocks();
    await locks.hold('a', 1, forever, () => locks.hold('b', 1, forever, async () => undefined));
  });

  test('aborts a holder of a lower generation, and no other', async () => {
    const locks = new SandboxLocks();
    const held = locks.hold(
      'a',
      3,
      forever,
      (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(locks.preempt('a', 3, new Error('no'))).toBe(false);
    expect(locks.preempt('a', 4, new Error('killed'))).toBe(true);
    await expect(held).rejects.toThrow('killed');
    expect(locks.isHeld('a')).toBe(false);
  });

  test('lets a waiter give up', async () => {
    const locks = new SandboxLocks();
    let release = (): void => undefined;
    const holder = locks.hold('a', 1, forever, () => new Promise<void>((resolve) => (release = resolve)));
    const impatient = new AbortController();
    const waiter = locks.hold('a', 2, impatient.signal, async () => undefined);
    impatient.abort(new Error('enough'));
    await expect(waiter).rejects.toThrow('enough');
    release();
    await holder;
  });

  test('is free again after its holder has failed', async () => {
    const locks = new SandboxLocks();
    await expect(locks.hold('a', 1, forever, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    await locks.hold('a', 1, forever, async () => undefined);
  });

  test('is given up by a holder that yields as soon as somebody comes, who is in when that one has ended', async () => {
    const locks = new SandboxLocks();
    const order: string[] = [];
    const yielding = locks.holdUntilNeeded('a', 1, forever, async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await new Promise((resolve) => setImmediate(resolve));
      order.push('has ended');
    });
    expect(locks.isHeld('a')).toBe(false);
    expect(locks.anyHeldFor(10_000)).toBe(false);
    const coming = locks.hold('a', 1, forever, async () => void order.push('is in'));
    expect(locks.isHeld('a')).toBe(true);
    await Promise.all([coming, yielding]);
    expect(order).toEqual(['has ended', 'is in']);
  });

  test('is not waited for by one that yields', async () => {
    const locks = new SandboxLocks();
    let release = (): void => undefined;
    const holder = locks.hold('a', 1, forever, () => new Promise<void>((resolve) => (release = resolve)));
    expect(await locks.holdUntilNeeded('a', 1, forever, () => Promise.resolve('in'))).toBeUndefined();
    release();
    await holder;
    expect(await locks.holdUntilNeeded('a', 1, forever, () => Promise.resolve('in'))).toBe('in');
  });
});

test('a step counts for those who wait for a quiet moment until it takes long, as one does that waits for its guest', async () => {
  let now = 0;
  const locks = new SandboxLocks(() => now);
  let end = (): void => undefined;
  const held = locks.hold('i1', 1, new AbortController().signal, () => new Promise<void>((resolve) => (end = resolve)));
  expect([locks.anyHeldFor(10), locks.isHeldFor('i1', 10), locks.isHeldFor('i2', 10)]).toEqual([true, true, false]);
  now = 10;
  expect([locks.anyHeldFor(10), locks.isHeldFor('i1', 10), locks.isHeld('i1')]).toEqual([false, false, true]);
  end();
  await held;
});
