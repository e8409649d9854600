import { expect, test } from 'vitest';
import { Closers } from '../../src/bench/context.js';

test('what was started last is ended first, once, and a failure does not keep the others from being ended', async () => {
  const closers = new Closers();
  const ended: string[] = [];
  closers.add(async () => void ended.push('service'));
  closers.add(() => Promise.reject(new Error('the guest cannot be ended')));
  closers.add(async () => void ended.push('ticker'));
  await expect(closers.close()).rejects.toThrow('the guest cannot be ended');
  await closers.close();
  expect(ended).toEqual(['ticker', 'service']);
});
