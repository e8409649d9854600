import { writeFileSync } from 'node:fs';
import { chown, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CrashPoint } from '../../activities/crash-points.js';
import { pauseVm } from '../../activities/pause-vm.js';
import type { PauseVmResult } from '../../workflows/host-activities.js';
import { HostScene } from './host-scene.js';

const never = new AbortController().signal;

let scene: HostScene;
let reached: CrashPoint[];
let endMachine: () => void;
let failSave: (error: Error) => void;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.runningWithMemory();
  reached = [];
  scene.reached = (point) => void reached.push(point);
  const ended = new Promise<void>((resolve, reject) => {
    endMachine = resolve;
    failSave = reject;
  });
  // As libvirt does: the file is whole some time before QEMU has ended.
  scene.driver.save = async ({ name }, image) => {
    scene.driver.machines.set(name, 'paused');
    await writeFile(image, 'LibvirtQemudSave and what follows');
    await ended;
    scene.driver.machines.delete(name);
  };
});
afterEach(() => scene.stop());

const pause = (): Promise<PauseVmResult> =>
  pauseVm(scene.context, { id: scene.id, generation: 2, view: scene.view('paused', 2) }, never);
const images = async (): Promise<string[]> =>
  (await readdir(scene.sandbox.directory)).filter((name) => name.startsWith('image-'));

test('memory is sealed while libvirt still ends the machine, and the sandbox sleeps when both are over', async () => {
  const pausing = pause();
  await expect.poll(images).toContain('image-2.sealed');
  expect(reached).toEqual(['pause.begun', 'pause.marked', 'pause.saved']);
  expect(scene.manifest.phase).toEqual({ name: 'saving' });
  endMachine();
  expect(await pausing).toMatchObject({ outcome: 'paused', image: { generation: 2 } });
  expect(scene.manifest.phase).toEqual({ name: 'saved' });
});

test('a pause that fails while libvirt ends the machine is rolled back after that end, not during it', async () => {
  scene.reached = (point) => {
    reached.push(point);
    if (point === 'pause.saved') throw new Error('for a test');
  };
  const pausing = pause();
  await expect.poll(() => reached).toContain('pause.saved');
  await new Promise(setImmediate);
  expect(reached).not.toContain('rollback.begun');
  endMachine();
  await expect(pausing).rejects.toMatchObject({ type: 'PauseFailed' });
  expect(scene.driver.calls.map((call) => call.split(' ')[0])).toEqual(['restore', 'run']);
  expect(scene.manifest.phase).toEqual({ name: 'running' });
});

test('a save that fails after its device state was whole fails the pause, and the image that was sealed is gone', async () => {
  const pausing = pause();
  await expect.poll(images).toContain('image-2.sealed');
  failSave(new Error('libvirt is being restarted'));
  await expect(pausing).rejects.toMatchObject({ type: 'PauseFailed' });
  expect(await images()).toEqual([]);
  expect(scene.manifest.phase).toEqual({ name: 'running' });
});

test('a save whose caller lost libvirt, and which was completed all the same, is a save', async () => {
  const pausing = pause();
  await expect.poll(() => reached).toContain('pause.saved');
  scene.driver.machines.clear();
  failSave(new Error('libvirt is being restarted'));
  expect(await pausing).toMatchObject({ outcome: 'paused' });
});

test('a save of a host worker that died, which ends while the next one looks, is the save', async () => {
  const { deviceState } = scene.sandbox;
  scene.driver.before['state'] = () => {
    delete scene.driver.before['state'];
    writeFileSync(deviceState, 'LibvirtQemudSave and what follows');
  };
  scene.driver.save = async ({ name }) => {
    scene.driver.machines.delete(name);
    throw new Error('domain is not running');
  };
  expect(await pause()).toMatchObject({ outcome: 'paused', image: { generation: 2 } });
});

test('whole device state beside a machine that runs is of an earlier pause, and goes', async () => {
  await writeFile(scene.sandbox.deviceState, 'LibvirtQemudSave of before');
  const pausing = pause();
  await expect.poll(() => reached).toContain('pause.saved');
  expect(await readFile(scene.sandbox.deviceState, 'utf8')).toBe('LibvirtQemudSave and what follows');
  endMachine();
  expect(await pausing).toMatchObject({ outcome: 'paused' });
});

test('the disk of a sandbox that sleeps is not that of the unix user who may be somebody else by then', async () => {
  await chown(scene.sandbox.overlay, 1_000_000, 0);
  const pausing = pause();
  endMachine();
  await pausing;
  expect(await stat(scene.sandbox.overlay)).toMatchObject({ uid: 0, gid: 0 });
});
