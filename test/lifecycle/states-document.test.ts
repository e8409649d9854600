import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { statesDocument } from '../../src/docs/states-document.js';

test('docs/states.md says what the code decides', async () => {
  const file = path.resolve(import.meta.dirname, '../../docs/states.md');
  expect(await readFile(file, 'utf8')).toBe(statesDocument());
});
