import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { within } from '../../src/within.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** So that nothing of its making is left on the stack. */
async function limitOfItsOwn(signal: AbortSignal): Promise<AbortSignal> {
  await delay(1);
  return within(300, signal);
}

test('a time limit that nobody listens to comes, also after the garbage was collected', async () => {
  const never = new AbortController().signal;
  const limit = await limitOfItsOwn(never);
  for (let look = 0; look < 20; look++) {
    await delay(25);
    collect();
  }
  expect(limit.aborted).toBe(true);
  expect((limit.reason as Error).name).toBe('TimeoutError');
});

test('any of the given signals ends it before its time', () => {
  const controller = new AbortController();
  const limit = within(60_000, within(60_000, controller.signal));
  controller.abort(new Error('asked'));
  expect(limit.aborted).toBe(true);
  expect((limit.reason as Error).message).toBe('asked');
});
