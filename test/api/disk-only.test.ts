import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.waitsFor.clear();
  world.add('i1', { generation: 7 });
});

const detail = async (id = 'i1') => (await world.api('GET', `/sandboxes/${id}`)).body;

describe('a pause without memory', () => {
  test('answers 204, and the detail says what was kept', async () => {
    expect((await detail()).pauseMode).toBeUndefined();
    expect((await world.api('POST', '/sandboxes/i1/pause', { memory: false })).status).toBe(204);
    expect(world.calls.at(-1)).toMatchObject({ verb: 'pause', input: { memory: false }, updateId: 'shut-down:7' });
    expect(await detail()).toMatchObject({ state: 'paused', pauseMode: 'filesystem' });
    expect((await world.api('POST', '/sandboxes/i1/pause', { memory: false })).body.code).toBe(409);
    world.add('i2');
    await world.api('POST', '/sandboxes/i2/pause');
    expect(await detail('i2')).toMatchObject({ pauseMode: 'full' });
  });

  test('is another request than one with memory, and not joined to it', async () => {
    world.asked = 0;
    world.waitsFor.set('pause', () => world.asked === 3);
    await Promise.all([
      world.api('POST', '/sandboxes/i1/pause', { memory: false }),
      world.api('POST', '/sandboxes/i1/pause', { memory: false }),
      world.api('POST', '/sandboxes/i1/pause', {}),
    ]);
    expect(world.calls.map(({ input }) => input)).toEqual([{ memory: false }, { memory: true }]);
  });

  test('can be what an automatic pause does, not together with waking on traffic', async () => {
    const create = (more: object) =>
      world.api('POST', '/v2/sandboxes', { templateID: 'base', autoPause: true, autoPauseMemory: false, ...more });
    const { status, body } = await create({});
    expect(status).toBe(201);
    expect(world.views.get(body.sandboxID)?.spec.autoPauseKeeps).toBe('disk');
    expect((await create({ autoResume: { enabled: true } })).status).toBe(400);
    expect((await create({ autoPauseMemory: 'no' })).status).toBe(400);
  });
});

describe('a connect without memory', () => {
  test('asks for a boot, under a name of its own', async () => {
    await world.api('POST', '/sandboxes/i1/pause');
    const { status } = await world.api('POST', '/v2/sandboxes/i1/connect', { memory: false });
    expect(status).toBe(201);
    expect(world.calls.at(-1)).toMatchObject({
      ...{ verb: 'resume', input: { mode: 'connect', timeoutMs: 300_000, memory: false }, updateId: 'reboot:8' },
    });
  });

  test('leaves a running sandbox as it is', async () => {
    const { status } = await world.api('POST', '/v2/sandboxes/i1/connect', { memory: false });
    expect(status).toBe(200);
  });

  test('is refused with a value that is no boolean', async () => {
    expect((await world.api('POST', '/v2/sandboxes/i1/connect', { memory: 'no' })).body.code).toBe(400);
    expect((await world.api('POST', '/sandboxes/i1/pause', { memory: 0 })).body.code).toBe(400);
  });
});
