import { appendFile, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CRASH_POINTS, type CrashPoint } from '../../activities/crash-points.js';
import { createVm } from '../../activities/create-vm.js';
import { pauseVm } from '../../activities/pause-vm.js';
import { resumeVm } from '../../activities/resume-vm.js';
import type { MemoryImage } from '../../workflows/view.js';
import { HostScene } from './host-scene.js';

const MIB = 1024 * 1024;
const never = new AbortController().signal;

let scene: HostScene;
let files: string;
beforeEach(async () => {
  scene = await HostScene.start();
  files = await mkdtemp(path.join(tmpdir(), 'template-'));
  const template = { memory: path.join(files, 'memory'), deviceState: path.join(files, 'device') };
  await writeFile(template.memory, Buffer.alloc(4 * MIB, 'template'));
  await writeFile(template.deviceState, "the template's device state");
  scene.templateFiles = { ...template, memoryMiB: 4, memoryExtents: [[0, 4 * MIB]] };
  await scene.restart();
  await rm(scene.sandbox.directory, { recursive: true });
});
afterEach(async () => {
  await scene.stop();
  await rm(files, { recursive: true });
});

const create = (signal = never) =>
  createVm(scene.context, { spec: scene.spec, generation: 1, view: scene.view('running', 1) }, signal);
const pause = async (generation: number): Promise<MemoryImage> => {
  const result = await pauseVm(
    scene.context,
    { id: scene.id, generation, view: scene.view('paused', generation) },
    never,
  );
  if (result.outcome !== 'paused' || result.image.kind === 'disk') throw new Error('it was not paused');
  return result.image;
};
const resume = (generation: number, image: MemoryImage, signal = never) =>
  resumeVm(scene.context, { spec: scene.spec, generation, image, view: scene.view('running', generation) }, signal);

/** A sandbox that sleeps, with a mark in its memory that the template does not have. */
async function asleep(): Promise<MemoryImage> {
  await create();
  const memory = await open(scene.sandbox.memoryFile, 'r+');
  await memory.write('mark', 2 * MIB);
  await memory.close();
  return pause(2);
}

const mark = async (): Promise<string> =>
  (await readFile(scene.sandbox.memoryFile)).subarray(2 * MIB, 2 * MIB + 4).toString();

/** The host worker dies at `point`: whatever the verb would do afterwards is not done. */
async function dieAt(point: CrashPoint, verb: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const dead = new AbortController();
  let died = false;
  scene.reached = (at) => {
    died ||= at === point;
    if (!died) return;
    dead.abort(new Error(`died at ${point}`));
    throw dead.signal.reason as Error;
  };
  await expect(verb(dead.signal)).rejects.toThrow(`died at ${point}`);
  scene.reached = () => undefined;
  await scene.restart();
}

const STRAIGHT = /\.(?!clear|machine-cleared|workspace-cleared|files-cleared|undo|image-removed|cleared|settled)/;
const straightPoints = (verb: string): CrashPoint[] =>
  CRASH_POINTS.filter((point) => point.startsWith(`${verb}.`) && STRAIGHT.test(point));

describe('a create', () => {
  test('starts the machine beside its memory, which is there in full size by then', async () => {
    const order: string[] = [];
    scene.reached = (point) => void order.push(point);
    const restore = scene.driver.restore.bind(scene.driver);
    scene.driver.restore = async (spec, image) => {
      const { length } = await readFile(spec.memoryFile);
      order.push(`restore over ${length / MIB} MiB`);
      return restore(spec, image);
    };
    expect(await create()).toEqual({ bootId: 'boot-1' });
    expect(order).toContain('restore over 4 MiB');
    expect(order.indexOf('create.restored')).toBeGreaterThan(order.indexOf('create.memory-made'));
    expect((await readFile(scene.sandbox.memoryFile)).equals(await readFile(path.join(files, 'memory')))).toBe(true);
    expect(await readdir(scene.sandbox.deviceStateDirectory)).toEqual([]);
  });

  test('uses a copy of the memory that is there already', async () => {
    scene.context.memories.claim = async (key, file) => {
      await writeFile(file, Buffer.alloc(4 * MIB, key));
      return true;
    };
    await create();
    expect((await readFile(scene.sandbox.memoryFile)).equals(Buffer.alloc(4 * MIB, 'k'))).toBe(true);
  });

  test('whose memory fails says so, and leaves nothing', async () => {
    await rm(path.join(files, 'memory'));
    await expect(create()).rejects.toThrow(/ENOENT.*memory/);
    expect([...scene.driver.machines]).toEqual([]);
    expect(await readdir(scene.paths.memory)).toEqual([]);
    expect([...scene.claims]).toEqual([]);
  });

  test('whose machine fails says so, and leaves nothing', async () => {
    scene.driver.before['restore'] = () => {
      throw new Error('no machine today');
    };
    await expect(create()).rejects.toThrow('no machine today');
    expect(await readdir(scene.paths.memory)).toEqual([]);
    expect(await readdir(scene.paths.sandboxes)).toEqual([]);
  });

  test.each(straightPoints('create'))(
    'of a host worker that dies at %s is finished by the second run',
    async (point) => {
      await dieAt(point, create);
      expect(await create()).toEqual({ bootId: 'boot-1' });
      expect(scene.manifest).toMatchObject({ phase: { name: 'running' }, bootId: 'boot-1' });
      expect([...scene.driver.machines]).toEqual([[scene.machine, 'running']]);
      expect(await readdir(scene.sandbox.deviceStateDirectory)).toEqual([]);
    },
  );
});

describe('a resume', () => {
  test('brings back what was in memory', async () => {
    const image = await asleep();
    expect(await readdir(scene.paths.memory)).toEqual([]);
    await resume(3, image);
    expect(await mark()).toBe('mark');
    expect(await readdir(scene.sandbox.deviceStateDirectory)).toEqual([]);
  });

  test('from a damaged image is refused for that reason, and lets no machine run', async () => {
    const image = await asleep();
    await appendFile(scene.sandbox.image(2), 'x');
    scene.driver.calls.length = 0;
    await expect(resume(3, image)).rejects.toMatchObject({ type: 'ImageDamaged' });
    expect(scene.driver.calls.filter((call) => call.startsWith('run'))).toEqual([]);
    expect([...scene.driver.machines]).toEqual([]);
    expect(scene.manifest).toMatchObject({ phase: { name: 'saved' }, image: { generation: 2 } });
    expect(await readdir(scene.paths.memory)).toEqual([]);
  });

  test('whose machine fails leaves the sandbox asleep, to be tried again', async () => {
    const image = await asleep();
    scene.driver.before['restore'] = () => {
      throw new Error('no machine today');
    };
    await expect(resume(3, image)).rejects.toThrow('no machine today');
    delete scene.driver.before['restore'];
    await resume(4, image);
    expect(await mark()).toBe('mark');
  });

  test.each(straightPoints('resume'))(
    'of a host worker that dies at %s is finished by the second run',
    async (point) => {
      const image = await asleep();
      await dieAt(point, (signal) => resume(3, image, signal));
      expect(await resume(3, image)).toEqual({ bootId: 'boot-1' });
      expect(await mark()).toBe('mark');
      expect(scene.manifest).toMatchObject({ generation: 3, phase: { name: 'running' }, bootId: 'boot-1' });
      expect([...scene.driver.machines]).toEqual([[scene.machine, 'running']]);
    },
  );
});
