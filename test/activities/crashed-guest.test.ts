import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Crashes } from '../../activities/after-crash.js';
import { machineSpec } from '../../activities/machine.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { watchGuests } from '../../activities/watch-guests.js';
import { Journal } from '../../src/journal/journal.js';
import type { PauseVmResult } from '../../workflows/host-activities.js';
import { HostScene } from './host-scene.js';

const never = new AbortController().signal;

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.runningWithMemory();
});
afterEach(() => scene.stop());

const pause = (): Promise<PauseVmResult> =>
  pauseVm(scene.context, { id: scene.id, generation: 2, view: scene.view('paused', 2) }, never);

describe('a pause', () => {
  const silent = async (): Promise<void> => {
    scene.agentIsSilent = true;
    scene.answersWithinMs = 100;
    await scene.restart();
  };

  test('of a guest whose agent does not answer is refused, and the sandbox runs on for its clients', async () => {
    await silent();
    await expect(pause()).rejects.toMatchObject({ type: 'PauseFailed', message: expect.stringContaining('crashed') });
    expect(scene.driver.calls).toEqual([]);
    expect(scene.manifest).toMatchObject({ phase: { name: 'running' }, generation: 2 });
    expect(scene.traffic.isGateOpen(scene.id)).toBe(true);
  });

  test('of a guest that is known to have crashed ends the sandbox with the reason, where it is not to be rebooted', async () => {
    await silent();
    scene.crash = 'its guest has crashed, for a test';
    const lost = { type: 'Lost', message: `sandbox ${scene.id} is lost: its guest has crashed, for a test` };
    await expect(pause()).rejects.toMatchObject(lost);
    scene.onCrash = 'reboot';
    await scene.restart();
    await expect(pause()).rejects.toMatchObject({ type: 'PauseFailed' });
    expect(scene.driver.calls).toEqual([]);
  });

  test('of a guest whose machine has ended says how it ended', async () => {
    await silent();
    scene.driver.machines.clear();
    scene.howItEnded = 'its kernel panicked, for a test';
    const lost = { type: 'Lost', message: `sandbox ${scene.id} is lost: its kernel panicked, for a test` };
    await expect(pause()).rejects.toMatchObject(lost);
    await expect(pause()).rejects.toMatchObject({ type: 'Lost' });
  });

  test('of a guest whose virtual CPUs stand is made: it cannot answer, and has not crashed', async () => {
    await silent();
    scene.driver.machines.set(scene.machine, 'paused');
    expect(await pause()).toMatchObject({ outcome: 'paused' });
  });

  test('hears the agent before it touches the machine', async () => {
    const heardAt: string[][] = [];
    scene.driver.before['save'] = () => void heardAt.push([...scene.heard]);
    await pause();
    expect(heardAt).toEqual([[scene.id]]);
  });
});

describe('a guest that has crashed while its machine lives', () => {
  const told: string[] = [];
  const ended: string[] = [];
  const crashes = (): Crashes =>
    new Crashes(scene.context, { notice: (id) => void told.push(id) }, async (id, generation, why) => {
      ended.push(`${id} ${generation} ${why}`);
    });
  beforeEach(() => void [told, ended].forEach((list) => (list.length = 0)));

  test('ends, with the reason', async () => {
    await crashes().notice(scene.id, 'it is silent');
    expect([ended, told, scene.driver.calls]).toEqual([[`${scene.id} 1 it is silent`], [], []]);
  });

  test('is reset where that is wanted, which its log says, and ends if it does not come back from that', async () => {
    scene.onCrash = 'reboot';
    await scene.restart();
    const mine = crashes();
    await mine.notice(scene.id, 'it is silent');
    expect([scene.driver.calls, told, ended]).toEqual([[`reset ${scene.machine}`], [scene.id], []]);
    expect(scene.booted).toEqual([scene.id]);
    expect(await new Journal(scene.paths).entries(scene.id)).toMatchObject([
      { message: 'it is silent; it is rebooted' },
    ]);
    await mine.notice(scene.id, 'it is silent still');
    expect(ended).toEqual([`${scene.id} 1 it is silent still`]);
  });

  test('is reset again when it has come back in between', async () => {
    scene.onCrash = 'reboot';
    await scene.restart();
    const mine = crashes();
    await mine.notice(scene.id, 'it is silent');
    await scene.context.index.change(scene.id, { bootId: 'boot-2' });
    await mine.notice(scene.id, 'it is silent again');
    expect([scene.driver.calls.length, ended]).toEqual([2, []]);
  });

  test('is reset, and does not end, where its log cannot be written', async () => {
    scene.onCrash = 'reboot';
    await scene.restart();
    const full = (): never => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    };
    scene.context.journal.addEntries = full;
    const mine = crashes();
    mine.panicked(scene.id);
    await mine.notice(scene.id, 'it is silent');
    expect([scene.driver.calls, told, ended]).toEqual([[`reset ${scene.machine}`], [scene.id], []]);
  });

  test('does not end for want of a reset that failed: it is reset at the next notice', async () => {
    scene.onCrash = 'reboot';
    await scene.restart();
    const mine = crashes();
    const { reset } = scene.driver;
    scene.driver.reset = () => Promise.reject(new Error('libvirt is away'));
    await expect(mine.notice(scene.id, 'it is silent')).rejects.toThrow('libvirt is away');
    scene.driver.reset = reset;
    await mine.notice(scene.id, 'it is silent still');
    expect([scene.driver.calls, ended]).toEqual([[`reset ${scene.machine}`], []]);
  });

  test('is left alone while somebody works on it', async () => {
    await scene.context.locks.hold(scene.id, 2, never, () => crashes().notice(scene.id, 'it is silent'));
    expect([ended, scene.driver.calls]).toEqual([[], []]);
  });
});

test('no guest is judged by its silence while the host has stopped the network of all, nor by that time afterwards', async () => {
  vi.useFakeTimers();
  try {
    const ended: string[] = [];
    let areCutOff = false;
    const host = { ...scene.context, isGateOpen: () => true, areCutOff: () => areCutOff };
    scene.agentIsSilent = true;
    scene.driver.cpuSeconds = () => Promise.resolve(performance.now() / 1000);
    const life = watchGuests(host, 40_000, async (id) => void ended.push(id));
    const stop = life.start();
    const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(1_000 * seconds);
    life.look();
    life.heard(scene.id);
    await pass(15);
    areCutOff = true;
    await pass(1_000);
    areCutOff = false;
    await pass(30);
    expect([ended, life.crashed(scene.id)]).toEqual([[], undefined]);
    life.heard(scene.id);
    await pass(60);
    expect(ended).not.toEqual([]);
    stop();
  } finally {
    vi.useRealTimers();
  }
});

test('a machine has the panic device that its template was recorded with, and none when it was recorded without', async () => {
  const deviceOf = async (): Promise<boolean | undefined> =>
    machineSpec(scene.context, scene.manifest, (await scene.context.template('k'))!).panicDevice;
  expect(await deviceOf()).toBeUndefined();
  scene.templateFiles = { ...scene.templateFiles, panicDevice: true };
  await scene.restart();
  expect(await deviceOf()).toBe(true);
});
