import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { inWords, TimeLeft } from '../../src/setup/time-left.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('of works side by side the longest counts, as long as it goes on', () => {
  const said: string[] = [];
  const left = new TimeLeft((line) => said.push(line), Date.now);
  left.expect('Temporal', 200_000);
  left.expect('template', 150_000);
  vi.advanceTimersByTime(20_000);
  left.over('Temporal');
  left.expect('template', 60_000);
  vi.advanceTimersByTime(20_000);
  left.over('template');
  vi.advanceTimersByTime(60_000);
  expect(said).toEqual([
    'Temporal: about 3.5 min left',
    'Temporal, template: about 3.5 min left',
    'Temporal, template: about 3 min left',
    'template: about 40 s left',
  ]);
});

test('what takes longer than expected is called that', () => {
  expect(inWords(-1)).toBe('takes longer than usual');
  expect(inWords(1)).toBe('about 10 s left');
  expect(inWords(91_000)).toBe('about 2 min left');
});
