import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assignVm } from '../../activities/assign-vm.js';
import { createVm } from '../../activities/create-vm.js';
import { WARM_POINTS, type CrashPoint } from '../../activities/crash-points.js';
import { failure } from '../../activities/failure.js';
import { reserve } from '../../activities/reserve.js';
import type { SandboxSpec } from '../../workflows/view.js';
import { sealField } from '../../src/keys/sealed-field.js';
import { accessToken } from '../../src/keys/access-token.js';
import { HostScene } from './host-scene.js';

const never = new AbortController().signal;
const ENV = { GREETING: 'only-of-the-tenant' };

let scene: HostScene;
/** What the network guard was told. */
let guarded: string[];
beforeEach(async () => {
  scene = await HostScene.start();
  await scene.running();
  const spec: SandboxSpec = { ...scene.spec, tenant: '', allowInternetAccess: false, warm: true };
  const view = { ...scene.view('running', 1), spec };
  await scene.context.index.change(scene.id, { view, allowInternetAccess: false });
  guarded = [];
});
afterEach(() => scene.stop());

const watchGuard = (): void => {
  scene.context.guard = {
    setInternet: async (_uid, allowed) => void guarded.push(allowed ? 'allow' : 'deny'),
    forget: async () => void guarded.push('forget'),
  };
};

function assign(generation = 2, signal = never, change: Partial<SandboxSpec> = {}): Promise<{ bootId: string }> {
  watchGuard();
  const sealedEnv = sealField(scene.context.masterKey.derive('fields'), scene.id, 'envVars', JSON.stringify(ENV));
  const spec = { ...scene.spec, sealedEnv, ...change };
  const view = { ...scene.view('running', generation), spec };
  return assignVm(scene.context, { spec, generation, view }, signal);
}

const inits = () =>
  scene.asked
    .filter(({ path }) => path === '/init')
    .map(({ body }) => JSON.parse(body) as { envVars: object; requireReseed: boolean; timestamp: string });

/** The host worker dies at `point`: whatever the verb would do afterwards is not done. */
async function dieAt(point: CrashPoint): Promise<void> {
  const dead = new AbortController();
  scene.reached = (at) => {
    if (at !== point) return;
    dead.abort(new Error(`died at ${point}`));
    throw dead.signal.reason as Error;
  };
  await expect(assign(2, dead.signal)).rejects.toThrow(`died at ${point}`);
  scene.reached = () => undefined;
  await scene.restart();
}

describe('a warm machine that a create takes', () => {
  test('gets token, environment and clock, its network rule, and a manifest that names its owner; nothing is restored', async () => {
    const before = Date.now();
    expect(await assign()).toEqual({ bootId: 'boot-1' });
    expect(scene.driver.calls).toEqual([]);
    const [init, ...more] = inits();
    expect(more).toEqual([]);
    expect(init).toMatchObject({ envVars: ENV, requireReseed: false });
    expect(Date.parse(init!.timestamp)).toBeGreaterThanOrEqual(before);
    const token = accessToken(scene.context.masterKey.derive('tokens'), scene.spec);
    expect(scene.asked.find(({ path }) => path === '/init')?.token).toBe(token);
    expect(guarded).toEqual(['allow']);
    expect(scene.manifest).toMatchObject({ generation: 2, phase: { name: 'running' }, allowInternetAccess: true });
    expect(scene.manifest.view.spec).toMatchObject({ tenant: 't' });
    expect(scene.manifest.view.spec.warm).toBeUndefined();
    const durable = await readFile(scene.sandbox.manifest, 'utf8');
    expect(JSON.parse(durable)).toEqual({ ...JSON.parse(JSON.stringify(scene.manifest)), mac: expect.any(String) });
    expect(durable).not.toContain(ENV.GREETING);
  });

  test('that asked for no internet access is never let out', async () => {
    await assign(2, never, { allowInternetAccess: false });
    expect(guarded).not.toContain('allow');
    expect(scene.manifest.allowInternetAccess).toBe(false);
  });

  test('is its owner’s in the list before its agent is told anything', async () => {
    let listed: unknown;
    scene.reached = (point) => {
      if (point === 'assign.recorded')
        listed = [scene.context.index.views().map(({ spec }) => spec.tenant), inits().length];
    };
    expect(scene.context.index.views()).toEqual([]);
    await assign();
    expect(listed).toEqual([['t'], 0]);
  });

  test('twice answers the same and touches nothing', async () => {
    const first = await assign();
    scene.asked.length = 0;
    expect(await assign()).toEqual(first);
    expect([scene.asked, guarded]).toEqual([[], ['allow']]);
  });

  test.each(WARM_POINTS)('by a host worker that dies at %s is finished by the second run', async (point) => {
    await dieAt(point);
    expect(await assign()).toEqual({ bootId: 'boot-1' });
    expect(scene.manifest).toMatchObject({ generation: 2, phase: { name: 'running' }, bootId: 'boot-1' });
    expect(scene.manifest.view).toMatchObject({ status: 'running', spec: { tenant: 't' } });
    expect(inits().every(({ requireReseed, envVars }) => !requireReseed && 'GREETING' in envVars)).toBe(true);
    expect(scene.driver.calls).toEqual([]);
  });

  test.each(WARM_POINTS)('is no sandbox any more when its machine ended after a death at %s', async (point) => {
    await dieAt(point);
    scene.driver.machines.clear();
    await expect(assign()).rejects.toMatchObject({ type: 'CreateFailed' });
    expect(scene.driver.calls).toEqual([]);
  });

  test('does not count as running when its agent refuses', async () => {
    scene.agentSays['/init'] = 401;
    await expect(assign()).rejects.toMatchObject({ type: 'CreateFailed' });
    expect(scene.manifest.phase.name).toBe('creating');
  });

  test('after a later step of its workflow is left alone', async () => {
    await scene.context.index.change(scene.id, { generation: 3 });
    await expect(assign(2)).rejects.toMatchObject({ type: 'StaleGeneration' });
    expect(scene.manifest.view.spec.warm).toBe(true);
  });
});

describe('room', () => {
  const full = { memoryMiB: 1e9, diskMiB: 0 };

  test('is made by giving up warm machines, one by one, until it is enough', async () => {
    scene.context.reserved = { ...full };
    let asked = 0;
    scene.context.makeRoom = async () => {
      asked += 1;
      if (asked === 2) scene.context.reserved = { memoryMiB: 0, diskMiB: 0 };
      return true;
    };
    expect(await reserve(scene.context, 'other', { memoryMiB: 1, diskMiB: 1 }, async () => 'recorded')).toBe(
      'recorded',
    );
    expect(asked).toBe(2);
  });

  test('is also a unix user, of which there are so many', async () => {
    const users: number[] = [];
    scene.context.makeRoom = async () => users.push(1) > 0;
    const claimed = reserve(scene.context, 'other', { memoryMiB: 1, diskMiB: 1 }, () =>
      users.length > 0 ? Promise.resolve('recorded') : Promise.reject(failure('InsufficientCapacity', 'all are taken')),
    );
    expect(await claimed).toBe('recorded');
  });

  test('is refused when there is none to give up, and never taken by a warm machine from another', async () => {
    scene.context.reserved = { ...full };
    let asked = 0;
    scene.context.makeRoom = async () => {
      asked += 1;
      return false;
    };
    const refused = { type: 'InsufficientCapacity' };
    await expect(reserve(scene.context, 'other', { memoryMiB: 1, diskMiB: 1 }, async () => 0)).rejects.toMatchObject(
      refused,
    );
    expect(asked).toBe(1);
    const spec: SandboxSpec = { ...scene.spec, id: 'iother', warm: true };
    const made = createVm(scene.context, { spec, generation: 1, view: scene.view('running', 1) }, never);
    await expect(made).rejects.toMatchObject(refused);
    expect(asked).toBe(1);
  });
});
