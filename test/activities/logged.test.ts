import { mkdir, readFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { logged } from '../../activities/logged.js';
import { failure } from '../../activities/failure.js';
import type { LogEntry } from '../../src/gateway/wire.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
});
afterEach(() => scene.stop());

const step = (work: () => Promise<{ bootId: string }>) => logged(scene.context, 'create', scene.id, 1, work);
const done = () => Promise.resolve({ bootId: 'b' });
const failed = () => Promise.reject(failure('CreateFailed', 'as the test says'));

test('what came of a step is in the log', async () => {
  await step(done);
  await expect(step(failed)).rejects.toMatchObject({ type: 'CreateFailed' });
  const lines = (await readFile(scene.sandbox.log, 'utf8')).trim().split('\n');
  const events = lines.map((line) => (JSON.parse(line) as LogEntry).fields['event']);
  expect(events).toEqual(['created', 'create failed']);
});

test('a log that can be neither written nor read changes nothing of what came of a step', async () => {
  // Neither is possible with a directory, whoever tries.
  await mkdir(scene.sandbox.log);
  expect(await step(done)).toEqual({ bootId: 'b' });
  await expect(step(failed)).rejects.toMatchObject({ type: 'CreateFailed', message: 'as the test says' });
});
