import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Manifest } from '../../src/host/manifest.js';
import { SandboxIndex } from '../../src/host/sandbox-index.js';
import { StatePaths } from '../../src/host/state-paths.js';
import { createLogger } from '../../src/log.js';

let paths: StatePaths;
beforeEach(async () => {
  paths = new StatePaths(await mkdtemp(path.join(tmpdir(), 'index-')));
  await mkdir(paths.sandboxes);
});
afterEach(() => rm(paths.root, { recursive: true }));

test('one manifest that cannot be read stops neither the host nor the other sandboxes, and is left as it is', async () => {
  const log = createLogger('test', 'fatal' as 'error');
  const index = await SandboxIndex.load(paths, log);
  for (const id of ['good', 'cut', 'other']) await mkdir(paths.sandbox(id).directory);
  await index.put({ schema: 1, id: 'good', generation: 3, phase: { name: 'saved' }, slot: null } as Manifest);
  await writeFile(paths.sandbox('cut').manifest, '{"schema":1,"id":"cu');
  await writeFile(paths.sandbox('other').manifest, '{"schema":7}');
  const again = await SandboxIndex.load(paths, log);
  expect(again.all().map(({ id }) => id)).toEqual(['good']);
  expect(['good', 'cut', 'other', 'absent'].map((id) => again.isUnreadable(id))).toEqual([false, true, true, false]);
  expect(await readFile(paths.sandbox('cut').manifest, 'utf8')).toBe('{"schema":1,"id":"cu');
});
