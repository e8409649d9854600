import { readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bootVm } from '../../activities/boot-vm.js';
import { createVm } from '../../activities/create-vm.js';
import { destroyVm } from '../../activities/destroy-vm.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { publishView } from '../../activities/publish-view.js';
import { resumeVm } from '../../activities/resume-vm.js';
import { shutDownVm } from '../../activities/shut-down-vm.js';
import type { SandboxView } from '../../workflows/view.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
});
afterEach(() => scene.stop());

const never = new AbortController().signal;
const image = { generation: 1, digest: 'd', bytes: 1, savedAt: 1 };
const asked = (tenant: string) => {
  const spec = { ...scene.spec, tenant };
  const view: SandboxView = { ...scene.view('running', 2), spec };
  return { id: scene.id, spec, generation: 2, view, image };
};
type Asked = ReturnType<typeof asked>;

const STEPS: [string, string, (input: Asked) => Promise<unknown>][] = [
  ['pause', 'PauseFailed', (input) => pauseVm(scene.context, input, never)],
  ['shutdown', 'PauseFailed', (input) => shutDownVm(scene.context, input, never)],
  ['resume', 'ImageDamaged', (input) => resumeVm(scene.context, input, never)],
  ['boot', 'ImageDamaged', (input) => bootVm(scene.context, input, never)],
];

/** In the manifest on disk, while no host worker runs. */
async function changeTenant(): Promise<void> {
  const text = await readFile(scene.sandbox.manifest, 'utf8');
  await writeFile(scene.sandbox.manifest, text.replaceAll('"tenant":"t"', '"tenant":"thief"'));
  await scene.restart();
}

test.each(STEPS)('a %s of a sandbox whose manifest was changed is refused, and ends nothing', async (_, code, step) => {
  await changeTenant();
  await expect(step(asked('t'))).rejects.toMatchObject({ type: code, message: /not authentic/ });
  expect([scene.driver.machines.get(scene.machine), scene.driver.calls]).toEqual(['running', []]);
  expect(await scene.files(scene.sandbox.directory)).toContain('key.wrapped');
});

test.each([...STEPS, ['publish', 'ImageDamaged', (input: Asked) => publishView(scene.context, input)] as const])(
  'a %s for another tenant than the manifest names is refused',
  async (_, code, step) => {
    await expect(step(asked('other'))).rejects.toMatchObject({ type: code, message: /another tenant/ });
    expect(scene.manifest).toMatchObject({
      generation: 1,
      phase: { name: 'running' },
      view: { spec: { tenant: 't' } },
    });
  },
);

test('no create takes the place of a sandbox whose manifest was changed; a kill removes it', async () => {
  await changeTenant();
  const there = await scene.files(scene.sandbox.directory);
  await expect(createVm(scene.context, asked('t'), never)).rejects.toMatchObject({
    ...{ type: 'CreateFailed', message: expect.stringMatching(/not authentic/) },
  });
  expect(await scene.files(scene.sandbox.directory)).toEqual(there);
  expect([scene.driver.machines.get(scene.machine), scene.driver.calls]).toEqual(['running', []]);
  await destroyVm(scene.context, { id: scene.id, generation: 3 }, never);
  expect([await scene.files(scene.paths.sandboxes), [...scene.claims]]).toEqual([[], []]);
  expect(scene.context.index.isUnreadable(scene.id)).toBe(false);
});
