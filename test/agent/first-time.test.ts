import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { isFirst } from '../../src/agent/first-time.js';

test('only the first one who asks is the first, and nobody where it cannot be recorded', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'first-time-'));
  const file = path.join(directory, 'rehearsed');
  expect([isFirst(file), isFirst(file)]).toEqual([true, false]);
  expect(isFirst(path.join(directory, 'no', 'such'))).toBe(false);
  await rm(directory, { recursive: true });
});
