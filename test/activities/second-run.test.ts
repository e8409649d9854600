import { writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createVm } from '../../activities/create-vm.js';
import { destroyVm } from '../../activities/destroy-vm.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { resumeVm } from '../../activities/resume-vm.js';
import { rollBackSave } from '../../activities/roll-back-save.js';
import { shutDownVm } from '../../activities/shut-down-vm.js';
import type { Template } from '../../src/template/template.js';
import { HostScene } from './host-scene.js';

const never = new AbortController().signal;
const COMPLETE_SAVE = 'LibvirtQemudSave and what follows';
const image = (generation: number) => ({ generation, digest: 'd', bytes: 1, savedAt: 1 });

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
});
afterEach(() => scene.stop());

const pause = (generation: number) =>
  pauseVm(scene.context, { id: scene.id, generation, view: scene.view('paused', generation) }, never);
const resume = (generation: number, of: number) =>
  resumeVm(
    scene.context,
    { spec: scene.spec, generation, image: image(of), view: scene.view('running', generation) },
    never,
  );
const template = async (): Promise<Template> => (await scene.context.template('k'))!;
const reseedAsked = (): boolean[] =>
  scene.asked
    .filter(({ path }) => path === '/init')
    .map(({ body }) => (JSON.parse(body) as { requireReseed: boolean }).requireReseed);

test('a save that fails outright leaves the guest running, and asks its agent for no reseed: nothing was restored', async () => {
  scene.driver.before['save'] = () => {
    throw new Error('no space left on device');
  };
  await expect(pause(2)).rejects.toMatchObject({ type: 'PauseFailed' });
  expect(scene.manifest.phase).toEqual({ name: 'running' });
  expect(scene.driver.machines.get(scene.machine)).toBe('running');
  expect(scene.traffic.isGateOpen(scene.id)).toBe(true);
  expect(reseedAsked()).toEqual([false]);
});

test('a kill that is older than its host says how far the host is: the next one is newer', async () => {
  await scene.context.index.change(scene.id, { generation: 17 });
  await expect(destroyVm(scene.context, { id: scene.id, generation: 5 }, never)).rejects.toMatchObject({
    type: 'StaleGeneration',
    details: [{ generation: 17, machine: 'running' }],
  });
  const machineLogs = await mkdtemp(path.join(tmpdir(), 'machine-logs-'));
  for (const name of [`${scene.machine}.log`, `${scene.machine}.log.0`, 'dormouse-another.log'])
    await writeFile(path.join(machineLogs, name), 'x');
  await destroyVm({ ...scene.context, machineLogs }, { id: scene.id, generation: 18 }, never);
  expect(scene.context.index.get(scene.id)).toBeUndefined();
  expect(await readdir(machineLogs)).toEqual(['dormouse-another.log']);
  await rm(machineLogs, { recursive: true });
});

test('a roll-back that died in the middle of its restore restores again: whole device state counts, not what stands', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  await writeFile(scene.sandbox.deviceState, COMPLETE_SAVE);
  scene.driver.machines.set(scene.machine, 'paused');
  await rollBackSave(scene.context, scene.manifest, await template(), new Error('for a test'), never);
  expect(
    scene.driver.calls.filter((call) => /destroy|restore|run/.test(call)).map((call) => call.split(' ')[0]),
  ).toEqual(['destroy', 'restore', 'run']);
  expect(await readdir(scene.sandbox.deviceStateDirectory)).toEqual([]);
  expect(reseedAsked()).toEqual([true]);
});

test('a roll-back waits for a save that goes on after its host worker died, and restores what that saved', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  scene.driver.machines.set(scene.machine, 'paused');
  scene.driver.before['awaitSave'] = () => {
    writeFileSync(scene.sandbox.deviceState, COMPLETE_SAVE);
    scene.driver.machines.delete(scene.machine);
  };
  await rollBackSave(scene.context, scene.manifest, await template(), new Error('for a test'), never);
  expect(scene.driver.calls.map((call) => call.split(' ')[0])).toEqual(['restore', 'run']);
  expect(scene.manifest.phase).toEqual({ name: 'running' });
});

test('a roll-back that a kill has pre-empted lets nothing run, and leaves what it found', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  await writeFile(scene.sandbox.deviceState, COMPLETE_SAVE);
  scene.driver.machines.clear();
  scene.traffic.closeGate(scene.id);
  const killed = AbortSignal.abort(new Error('it is being killed'));
  const rolledBack = rollBackSave(scene.context, scene.manifest, await template(), new Error('for a test'), killed);
  await expect(rolledBack).rejects.toThrow('it is being killed');
  expect([...scene.driver.machines]).toEqual([]);
  expect([scene.manifest.phase.name, scene.traffic.isGateOpen(scene.id)]).toEqual(['saving', false]);
  expect(await readdir(scene.sandbox.deviceStateDirectory)).toHaveLength(1);
});

test('a kill that comes while a roll-back waits for the agent does not wait for that', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  scene.agentSays['/init'] = 503;
  const kill = new AbortController();
  const cause = new Error('for a test');
  const rolledBack = expect(
    rollBackSave(scene.context, scene.manifest, await template(), cause, kill.signal),
  ).rejects.toThrow();
  await expect.poll(() => scene.asked.length).toBeGreaterThan(0);
  const tries = scene.asked.length;
  kill.abort(new Error('it is being killed'));
  await rolledBack;
  // One may have been under way.
  expect(scene.asked.length).toBeLessThanOrEqual(tries + 1);
  expect(scene.manifest.phase).toEqual({ name: 'saving' });
});

test('after a pause that was not begun the machine is that of the generation that its workflow is in', async () => {
  scene.traffic.touch(scene.id);
  const input = { id: scene.id, generation: 5, view: scene.view('paused', 5), onlyIfIdleForMs: 60_000 };
  expect(await pauseVm(scene.context, input, never)).toMatchObject({ outcome: 'busy' });
  expect(scene.manifest).toMatchObject({ generation: 5, phase: { name: 'running' } });
  expect(scene.traffic.isGateOpen(scene.id)).toBe(true);
  scene.context = { ...scene.context, template: async () => undefined };
  await expect(pause(6)).rejects.toThrow();
  expect(scene.manifest).toMatchObject({ generation: 6, phase: { name: 'running' } });
});

test('a pause for which the template is missing leaves the sandbox in reach', async () => {
  scene.context = { ...scene.context, template: async () => undefined };
  await expect(pause(2)).rejects.toMatchObject({ type: 'ImageIncompatible' });
  expect([scene.manifest.phase.name, scene.traffic.isGateOpen(scene.id)]).toEqual(['running', true]);
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  await expect(pause(3)).rejects.toMatchObject({ type: 'HostFailure' });
});

test('device state beside a machine that runs is stale, and is never restored', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saving' } });
  await writeFile(scene.sandbox.deviceState, COMPLETE_SAVE);
  await rollBackSave(scene.context, scene.manifest, await template(), new Error('for a test'), never);
  expect(scene.driver.calls.some((call) => call.startsWith('restore'))).toBe(false);
  expect(await readdir(scene.sandbox.deviceStateDirectory)).toEqual([]);
});

test('a resume that died after its machine ran goes on with that machine, and asks for no second reseed', async () => {
  await scene.context.index.change(scene.id, {
    ...{ generation: 3, phase: { name: 'restoring', consumed: true }, image: image(2) },
  });
  await writeFile(scene.sandbox.image(2), 'sealed');
  expect(await resume(3, 2)).toEqual({ bootId: 'boot-1' });
  expect(scene.driver.calls.some((call) => call.startsWith('restore'))).toBe(false);
  expect(reseedAsked()).toEqual([false]);
  expect((await readdir(scene.sandbox.directory)).filter((name) => name.startsWith('image-'))).toEqual([]);
});

test('a pause that died after its image was durable is finished, and nothing of it is left behind', async () => {
  await scene.context.index.change(scene.id, { generation: 3, phase: { name: 'saved' }, slot: null, image: image(3) });
  for (const generation of [2, 3]) await writeFile(scene.sandbox.image(generation), 'sealed');
  scene.driver.machines.clear();
  expect(await pause(3)).toMatchObject({ outcome: 'paused', image: { generation: 3 } });
  expect((await readdir(scene.sandbox.directory)).filter((name) => name.startsWith('image-'))).toEqual([
    'image-3.sealed',
  ]);
  expect(await readdir(scene.paths.memory)).toEqual([]);
  expect([...scene.claims]).toEqual([]);
});

test('a failure after the image is durable rolls nothing back', async () => {
  await scene.context.index.change(scene.id, { generation: 3, phase: { name: 'saved' }, slot: null, image: image(3) });
  await writeFile(scene.sandbox.image(3), 'sealed');
  scene.driver.machines.set(scene.machine, 'paused');
  scene.driver.before['destroy'] = () => {
    throw new Error('libvirt is being restarted');
  };
  await expect(pause(3)).rejects.toThrow('libvirt is being restarted');
  expect(scene.manifest).toMatchObject({ phase: { name: 'saved' }, image: { generation: 3 } });
  delete scene.driver.before['destroy'];
  expect(await pause(3)).toMatchObject({ outcome: 'paused' });
});

test('an older manifest that was put back is refused, and the sandbox is not called lost', async () => {
  await mkdir(scene.sandbox.directory, { recursive: true });
  scene.driver.machines.clear();
  await expect(resume(6, 5)).rejects.toMatchObject({ type: 'ImageDamaged' });
  expect(scene.manifest.phase).toEqual({ name: 'running' });
});

test('an image that was sealed before its pause failed is gone once the machine runs again', async () => {
  await scene.context.index.change(scene.id, { generation: 2, phase: { name: 'saving' } });
  await writeFile(scene.sandbox.image(2), 'sealed');
  await rollBackSave(scene.context, scene.manifest, await template(), new Error('for a test'), never);
  expect((await scene.files(scene.sandbox.directory)).filter((name) => name.startsWith('image-'))).toEqual([]);
  expect(scene.manifest.phase).toEqual({ name: 'running' });
});

test('a slot whose claim could not be recorded is given back', async () => {
  scene.claims.clear();
  const spec = { ...scene.spec, id: `${scene.id}x` };
  scene.reached = (point) => {
    if (point === 'create.slot-claimed') throw new Error('no space left on device');
  };
  const created = createVm(scene.context, { spec, generation: 1, view: scene.view('running', 1) }, never);
  await expect(created).rejects.toThrow('no space left on device');
  expect(scene.claims).toEqual(new Set());
});

test('a manifest that says a running sandbox sleeps was put back: a pause ends nothing and answers no older image', async () => {
  await scene.context.index.change(scene.id, { phase: { name: 'saved' }, image: image(1) });
  await expect(pause(4)).rejects.toMatchObject({ type: 'PauseFailed', message: /older manifest was put back/ });
  expect(scene.driver.machines.get(scene.machine)).toBe('running');
});

describe('a question about the health of a sandbox', () => {
  /** What a client would be told at the moment when a step of the machine begins. */
  const stopsAt = (verb: string): (() => boolean | undefined) => {
    let stops: boolean | undefined;
    const before = scene.driver.before[verb];
    scene.driver.before[verb] = () => {
      stops ??= scene.traffic.isStopping(scene.id);
      before?.();
    };
    return () => stops;
  };

  test('has its answer before a save takes the connections away, and another when the sandbox runs on', async () => {
    const atSave = stopsAt('save');
    scene.driver.before['save'] = ((look) => () => {
      look?.();
      throw new Error('no space left on device');
    })(scene.driver.before['save']);
    await expect(pause(2)).rejects.toMatchObject({ type: 'PauseFailed' });
    expect([atSave(), scene.traffic.isStopping(scene.id)]).toEqual([true, false]);
  });

  test('has its answer before a kill takes the machine away, and before anything is cut', async () => {
    const atDestroy = stopsAt('destroy');
    let atCut: boolean | undefined;
    scene.traffic.track(scene.id, () => (atCut ??= scene.traffic.isStopping(scene.id)));
    await destroyVm(scene.context, { id: scene.id, generation: 2 }, never);
    expect([atDestroy(), atCut]).toEqual([true, true]);
  });

  test('has its answer before a shutdown cuts anything', async () => {
    let atCut: boolean | undefined;
    scene.traffic.track(scene.id, () => (atCut ??= scene.traffic.isStopping(scene.id)));
    await shutDownVm(scene.context, { id: scene.id, generation: 2, view: scene.view('paused', 2) }, never);
    expect(atCut).toBe(true);
  });
});
