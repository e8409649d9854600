import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { clearLeftBuilds } from '../../src/template/left-builds.js';

test('of a build that was killed neither machine nor memory is left, and all else stays', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'left-builds-'));
  for (const name of ['template-0123456789ab', 'isandbox', 'pool']) await mkdir(path.join(root, name));
  await writeFile(path.join(root, 'template-0123456789ab', 'ram'), 'memory');
  await writeFile(path.join(root, 'template-0123456789ab.device'), 'device state');
  const ended: string[] = [];
  await clearLeftBuilds({ destroy: async (name) => void ended.push(name) }, root);
  expect(new Set(ended)).toEqual(new Set(['template-0123456789ab']));
  expect((await readdir(root)).sort()).toEqual(['isandbox', 'pool']);
  await rm(root, { recursive: true });
});
