import { access, mkdir, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DISK_ONLY_POINTS, type CrashPoint } from '../../activities/crash-points.js';
import { bootVm } from '../../activities/boot-vm.js';
import { resumeVm } from '../../activities/resume-vm.js';
import { shutDownVm } from '../../activities/shut-down-vm.js';
import type { MemoryImage, SavedImage } from '../../workflows/view.js';
import { publicState } from '../../src/gateway/sandbox-query.js';
import { LibvirtUnreachableError } from '../../src/libvirt/errors.js';
import { HostScene } from './host-scene.js';

let scene: HostScene;
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
});
afterEach(() => scene.stop());

const never = new AbortController().signal;
const shutDown = (generation: number, more: { onlyIfIdleForMs?: number } = {}, signal = never) =>
  shutDownVm(scene.context, { id: scene.id, generation, view: scene.view('paused', generation), ...more }, signal);
const boot = (generation: number, image: SavedImage, signal = never) =>
  bootVm(scene.context, { spec: scene.spec, generation, image, view: scene.view('running', generation) }, signal);
const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
const disk = (generation: number): SavedImage => ({ kind: 'disk', generation, savedAt: 1 });

/** The host worker dies at `point`: whatever the verb would do afterwards is not done. */
async function dieAt(point: CrashPoint, verb: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const dead = new AbortController();
  scene.reached = (at) => {
    if (at !== point) return;
    dead.abort(new Error(`died at ${point}`));
    throw dead.signal.reason as Error;
  };
  await expect(verb(dead.signal)).rejects.toThrow(`died at ${point}`);
  scene.reached = () => undefined;
  await scene.restart();
}

const pointsOf = (verb: string): CrashPoint[] => DISK_ONLY_POINTS.filter((point) => point.startsWith(`${verb}.`));

async function asleepWithMemory(generation: number): Promise<MemoryImage> {
  const image = { generation, digest: 'd', bytes: 1, savedAt: 1 };
  await writeFile(scene.sandbox.image(generation), 'sealed');
  await scene.context.index.change(scene.id, { generation, phase: { name: 'saved' }, slot: null, image });
  scene.driver.machines.clear();
  scene.claims.clear();
  return image;
}

describe('a shutdown', () => {
  test('syncs the guest, presses its power button, and leaves its disk and nothing else', async () => {
    const result = await shutDown(2);
    expect(result).toEqual({ outcome: 'paused', image: { kind: 'disk', generation: 2, savedAt: expect.any(Number) } });
    expect(scene.asked.map(({ path }) => path)).toEqual(['/sync']);
    expect(scene.driver.calls).toEqual([`shutdown ${scene.machine}`]);
    expect(scene.manifest).toMatchObject({
      generation: 2,
      phase: { name: 'saved' },
      slot: null,
      image: { kind: 'disk' },
    });
    expect(scene.manifest.view).toMatchObject({ status: 'paused', image: { kind: 'disk' } });
    expect(await scene.files(scene.paths.memory)).toEqual([]);
    expect((await scene.files(scene.sandbox.directory)).sort()).toEqual([
      'key.wrapped',
      'manifest.json',
      'overlay.qcow2',
    ]);
    expect(scene.traffic.isGateOpen(scene.id)).toBe(false);
  });

  test('shows the sandbox as paused from where it cannot be undone, and not before', async () => {
    const shown: Record<string, unknown> = {};
    scene.reached = (point) => void (shown[point] = publicState(scene.manifest.view));
    await shutDown(2);
    expect(shown).toMatchObject({ 'shut-down.begun': 'running', 'shut-down.marked': 'paused' });
    expect(shown['shut-down.powered-off']).toBe('paused');
  });

  test('that runs again answers the same and touches nothing', async () => {
    const first = await shutDown(2);
    scene.driver.calls.length = 0;
    expect(await shutDown(2)).toEqual(first);
    expect(scene.driver.calls).toEqual([]);
  });

  test('goes on when the agent does not answer the sync', async () => {
    scene.agentSays['/sync'] = 500;
    expect(await shutDown(2)).toMatchObject({ outcome: 'paused' });
  });

  test('that was interrupted is finished by the next attempt, whether the guest has gone meanwhile or not', async () => {
    for (const goneMeanwhile of [true, false]) {
      await scene.running();
      scene.driver.onPowerButton = () => undefined;
      scene.driver.before['shutdown'] = () => {
        throw new LibvirtUnreachableError('qemu:///system', 'a test');
      };
      await expect(shutDown(2)).rejects.toThrow(/libvirt does not answer/);
      expect(scene.manifest.phase).toEqual({ name: 'stopping' });
      delete scene.driver.before['shutdown'];
      await scene.restart();
      if (goneMeanwhile) scene.driver.machines.clear();
      else scene.driver.onPowerButton = (name) => void scene.driver.machines.delete(name);
      expect(await shutDown(2)).toMatchObject({ outcome: 'paused', image: { kind: 'disk', generation: 2 } });
    }
  });

  test.each(pointsOf('shut-down'))('of a host worker that dies at %s is finished by the second run', async (point) => {
    await dieAt(point, (signal) => shutDown(2, {}, signal));
    expect(await shutDown(2)).toMatchObject({ outcome: 'paused', image: { kind: 'disk', generation: 2 } });
    expect(scene.manifest).toMatchObject({ phase: { name: 'saved' }, slot: null, image: { kind: 'disk' } });
    expect([[...scene.claims], await scene.files(scene.paths.memory), [...scene.driver.machines]]).toEqual([
      [],
      [],
      [],
    ]);
  });

  test('is not begun when the sandbox was active', async () => {
    scene.traffic.touch(scene.id);
    expect(await shutDown(2, { onlyIfIdleForMs: 60_000 })).toMatchObject({ outcome: 'busy' });
    expect([scene.manifest.phase.name, scene.driver.calls, scene.traffic.isGateOpen(scene.id)]).toEqual([
      'running',
      [],
      true,
    ]);
  });

  test('is refused to a caller that is behind, and ends when a kill pre-empts it', async () => {
    await expect(shutDown(0)).rejects.toMatchObject({ type: 'StaleGeneration' });
    scene.driver.onPowerButton = () => undefined;
    const shuttingDown = expect(shutDown(2)).rejects.toThrow('killed');
    await expect.poll(() => scene.driver.calls.length).toBe(1);
    scene.context.locks.preempt(scene.id, 3, new Error('killed'));
    await shuttingDown;
    await delay(300);
    expect(scene.driver.calls).toEqual([`shutdown ${scene.machine}`]);
  });

  test('of a sandbox that sleeps with its memory already gives up nothing', async () => {
    const image = await asleepWithMemory(2);
    expect(await shutDown(3)).toEqual({ outcome: 'paused', image });
    expect(await exists(scene.sandbox.image(2))).toBe(true);
  });
});

describe('a boot from the disk', () => {
  test('starts the machine and tells its agent what it is, without asking for a reseed', async () => {
    await shutDown(2);
    scene.asked.length = 0;
    expect(await boot(3, disk(2))).toEqual({ bootId: 'boot-1' });
    const init = scene.asked.find(({ path }) => path === '/init')!;
    expect(JSON.parse(init.body)).toMatchObject({ defaultUser: 'user', requireReseed: false });
    expect(init.token).toBeTruthy();
    expect(scene.manifest).toMatchObject({ generation: 3, phase: { name: 'running' }, bootId: 'boot-1' });
    expect(scene.manifest.image).toBeUndefined();
    expect(scene.traffic.isGateOpen(scene.id)).toBe(true);
  });

  test('that runs again finds the machine running, and does not boot it again', async () => {
    await shutDown(2);
    await boot(3, disk(2));
    scene.driver.calls.length = 0;
    expect(await boot(3, disk(2))).toEqual({ bootId: 'boot-1' });
    expect(scene.driver.calls).toEqual([]);
  });

  test('that was interrupted is begun anew, in a slot of its own', async () => {
    await shutDown(2);
    scene.agentSays['/health'] = 503;
    const over = new AbortController();
    const booting = expect(boot(3, disk(2), over.signal)).rejects.toThrow();
    await expect.poll(() => scene.driver.calls.at(-1)).toBe(`start ${scene.machine}`);
    over.abort(new Error('the worker ended'));
    await booting;
    expect(scene.manifest.phase).toEqual({ name: 'booting' });
    delete scene.agentSays['/health'];
    await scene.restart();
    scene.driver.calls.length = 0;
    expect(await boot(3, disk(2))).toEqual({ bootId: 'boot-1' });
    expect(scene.driver.calls).toEqual([`destroy ${scene.machine}`, `start ${scene.machine}`]);
    expect([...scene.claims]).toEqual([scene.manifest.slot]);
  });

  test.each(pointsOf('boot'))('of a host worker that dies at %s is finished by the second run', async (point) => {
    const image = await asleepWithMemory(2);
    await dieAt(point, (signal) => boot(3, image, signal));
    expect(await boot(3, image)).toEqual({ bootId: 'boot-1' });
    expect(scene.manifest).toMatchObject({ generation: 3, phase: { name: 'running' }, bootId: 'boot-1' });
    expect([scene.manifest.image, [...scene.claims]]).toEqual([undefined, [scene.manifest.slot]]);
    expect((await scene.files(scene.sandbox.directory)).filter((name) => name.startsWith('image-'))).toEqual([]);
    expect([...scene.driver.machines]).toEqual([[scene.machine, 'running']]);
  });

  test('whose machine ends can be tried again, and leaves the sandbox asleep on its disk', async () => {
    await shutDown(2);
    scene.agentSays['/health'] = 503;
    scene.driver.onStart = (name) => void scene.driver.machines.delete(name);
    const failed = boot(3, disk(2));
    await expect(failed).rejects.toMatchObject({ type: 'HostFailure', nonRetryable: false });
    await expect(failed).rejects.toMatchObject({
      details: [{ machine: 'absent', image: { kind: 'disk', generation: 2 } }],
    });
    expect(scene.manifest).toMatchObject({ phase: { name: 'saved' }, slot: null, image: { kind: 'disk' } });
    expect(await scene.files(scene.paths.memory)).toEqual([]);
  });

  test('of a sandbox that sleeps with its memory gives that up before the machine starts, for good', async () => {
    const image = await asleepWithMemory(2);
    let atStart: unknown;
    scene.driver.before['start'] = () => {
      atStart = scene.manifest.image;
      throw new Error('no machine today');
    };
    await expect(boot(3, image)).rejects.toMatchObject({ details: [{ image: { kind: 'disk', generation: 3 } }] });
    expect(atStart).toMatchObject({ kind: 'disk' });
    expect(await exists(scene.sandbox.image(2))).toBe(false);
    const input = { spec: scene.spec, generation: 4, image, view: scene.view('running', 4) };
    await expect(resumeVm(scene.context, input, never)).rejects.toMatchObject({
      details: [{ image: { kind: 'disk', generation: 3 } }],
    });
    delete scene.driver.before['start'];
    expect(await boot(5, disk(3))).toEqual({ bootId: 'boot-1' });
  });

  test('for which there is no room changes nothing', async () => {
    const image = await asleepWithMemory(2);
    scene.context.reserved.memoryMiB = 1e9;
    await expect(boot(3, image)).rejects.toMatchObject({ type: 'InsufficientCapacity' });
    expect(scene.manifest).toMatchObject({ phase: { name: 'saved' }, image: { digest: 'd' } });
    expect(await exists(scene.sandbox.image(2))).toBe(true);
    await mkdir(scene.sandbox.memoryDirectory, { recursive: true });
  });
});
