import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WorkflowEnvironment } from './environment.js';

describe('a pause that keeps the disk alone', () => {
  let environment: WorkflowEnvironment;
  beforeAll(async () => {
    environment = await WorkflowEnvironment.start();
  }, 120_000);
  afterAll(() => environment.stop());

  const steps = (calls: string[]): string[] => calls.filter((call) => !call.startsWith('publish'));

  test('shuts the machine down, and the next connect boots it, whatever it asks for', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const paused = await environment.client.pause(spec.id, { memory: false });
    expect(paused).toMatchObject({ status: 'paused', image: { kind: 'disk', generation: 2 } });
    expect(paused.reason).toContain('only its disk is kept');
    const { view, resumed } = await environment.client.resume(spec.id, {});
    expect([resumed, view.status, view.image, view.reason]).toEqual([
      true,
      'running',
      undefined,
      'booted from its disk',
    ]);
    const again = await environment.client.pause(spec.id);
    expect(again.image).toMatchObject({ generation: 4, digest: 'digest-4' });
    await environment.client.resume(spec.id, {});
    await environment.client.kill(spec.id);
    expect(steps(host.calls)).toEqual([
      'createVm 1',
      'shutDownVm 2',
      'bootVm 3 of 2',
      'pauseVm 4',
      'resumeVm 5 of 4',
      'destroyVm 6',
    ]);
  });

  test('can be had of one that was paused with its memory, by a connect that asks for a boot', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    await environment.client.pause(spec.id);
    expect(await environment.client.resume(spec.id, { memory: false })).toMatchObject({ resumed: true });
    expect(steps(host.calls)).toEqual(['createVm 1', 'pauseVm 2', 'bootVm 3 of 2']);
    expect(await environment.client.resume(spec.id, { memory: false })).toMatchObject({ resumed: false });
    await environment.client.pause(spec.id);
    await environment.client.resume(spec.id, {});
    expect(steps(host.calls).slice(3)).toEqual(['pauseVm 4', 'resumeVm 5 of 4']);
    await environment.client.kill(spec.id);
  });

  test('is what an automatic pause does when the sandbox was made so', async () => {
    const host = await environment.host();
    const spec = environment.spec(host, { onTimeout: 'pause', timeoutMs: 300, autoPauseKeeps: 'disk' });
    await environment.client.create(spec, {});
    await expect.poll(async () => (await environment.client.get(spec.id))?.status, { timeout: 10_000 }).toBe('paused');
    expect(steps(host.calls)).toEqual(['createVm 1', 'shutDownVm 2']);
    await environment.client.kill(spec.id);
  });

  test('waits for activity to end, as any automatic pause', async () => {
    const host = await environment.host();
    host.idleForMs = 0;
    const spec = environment.spec(host, { onTimeout: 'pause', timeoutMs: 400, autoPauseKeeps: 'disk' });
    await environment.client.create(spec, {});
    await expect.poll(() => steps(host.calls).length, { timeout: 10_000 }).toBeGreaterThan(2);
    // It is asked for again and again, and may be under way at this moment.
    await expect.poll(async () => (await environment.client.get(spec.id))?.status).toBe('running');
    await environment.client.kill(spec.id);
  });

  test('once begun refuses a pause with memory, joins another of its kind, and is pre-empted by a kill', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    host.holds.shutDownVm = new Promise(() => undefined);
    const first = expect(environment.client.pause(spec.id, { memory: false })).rejects.toMatchObject({
      code: 'NotFound',
    });
    await expect.poll(() => host.calls.at(-1)).toBe('shutDownVm 2');
    await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'Superseded' });
    const joined = expect(environment.client.pause(spec.id, { memory: false })).rejects.toMatchObject({
      code: 'NotFound',
    });
    expect(await environment.client.kill(spec.id)).toMatchObject({ status: 'killed' });
    await Promise.all([first, joined]);
    expect(steps(host.calls)).toEqual(['createVm 1', 'shutDownVm 2', 'destroyVm 3']);
  });

  test('is tried again until it is done: it never says that the machine runs on', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    host.retryableFailures.shutDownVm = 2;
    expect(await environment.client.pause(spec.id, { memory: false })).toMatchObject({ status: 'paused' });
    expect(steps(host.calls)).toEqual(['createVm 1', 'shutDownVm 2', 'shutDownVm 2', 'shutDownVm 2']);
    await environment.client.kill(spec.id);
  });

  test('stays paused when the boot fails, and says that the memory is gone once it is', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    await environment.client.pause(spec.id);
    host.failures.bootVm = ['InsufficientCapacity', 'ResumeFailed'];
    await expect(environment.client.resume(spec.id, { memory: false })).rejects.toMatchObject({
      code: 'InsufficientCapacity',
    });
    expect((await environment.client.get(spec.id))?.image).toMatchObject({ digest: 'digest-2' });
    host.factsOfFailures = { image: { kind: 'disk', generation: 4, savedAt: 0 } };
    await expect(environment.client.resume(spec.id, { memory: false })).rejects.toMatchObject({ code: 'ResumeFailed' });
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'paused', image: { kind: 'disk' } });
    await environment.client.resume(spec.id, {});
    expect(steps(host.calls).at(-1)).toBe('bootVm 5 of 4');
    await environment.client.kill(spec.id);
  });

  test('is not undone by traffic', async () => {
    const host = await environment.host();
    const spec = environment.spec(host, { autoResume: true });
    await environment.client.create(spec, {});
    await environment.client.pause(spec.id, { memory: false });
    await expect(environment.client.resume(spec.id, { mode: 'traffic' })).rejects.toMatchObject({ code: 'NotFound' });
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'paused' });
    expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
    await environment.client.kill(spec.id);
  });

  test('can be asked for by a signal', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    await environment.handle(spec.id).signal('pause', { memory: false });
    await expect.poll(() => steps(host.calls).at(-1)).toBe('shutDownVm 2');
    await expect.poll(async () => (await environment.client.get(spec.id))?.status).toBe('paused');
    await environment.client.kill(spec.id);
  });
});
