import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WorkflowEnvironment } from './environment.js';

describe('a sandbox with a long history', () => {
  let environment: WorkflowEnvironment;
  beforeAll(async () => {
    environment = await WorkflowEnvironment.start({ suggestContinueAsNewAt: 40 });
  }, 120_000);
  afterAll(() => environment.stop());

  test('continues as new between requests and loses none of them, nor its answers', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const firstRun = (await environment.handle(spec.id).describe()).runId;
    let firstPause: unknown;
    for (let round = 0; round < 12; round++) {
      const paused = await environment.client.pause(spec.id, { updateId: `pause-${round}` });
      firstPause ??= paused;
      expect(paused.status).toBe('paused');
      expect(await environment.client.resume(spec.id, {}, { updateId: `resume-${round}` })).toMatchObject({
        resumed: true,
      });
    }
    expect((await environment.handle(spec.id).describe()).runId).not.toBe(firstRun);
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running', generation: 25 });
    const calls = host.calls.length;
    expect(await environment.client.pause(spec.id, { updateId: 'pause-11' })).toMatchObject({
      status: 'paused',
      generation: 24,
    });
    expect(host.calls).toHaveLength(calls);
    await environment.client.kill(spec.id);
  });

  test('hands on what it is once, however much its answers have said of it', async () => {
    const host = await environment.host();
    const metadata = { large: 'x'.repeat(64 * 1024 - 20) };
    const spec = environment.spec(host, { metadata });
    await environment.client.create(spec, {});
    const firstRun = (await environment.handle(spec.id).describe()).runId;
    for (let round = 0; round < 25; round++)
      await environment.client.resume(spec.id, { timeoutMs: 900_000 }, { updateId: `connect-${round}` });
    const { runId } = await environment.handle(spec.id).describe();
    expect(runId).not.toBe(firstRun);
    const { events } = await environment.handle(spec.id).fetchHistory();
    const input = events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads![0]!.data!;
    expect(input.length).toBeLessThan(2 * 64 * 1024);
    const again = await environment.client.resume(spec.id, {}, { updateId: 'connect-20' });
    expect(again).toMatchObject({ resumed: false, view: { status: 'running' } });
    expect(await environment.client.get(spec.id)).toMatchObject({ spec: { id: spec.id, metadata } });
    await environment.client.kill(spec.id);
  });

  test('an update that waits for a step which is tried again does not keep it from being tried', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    host.failures.pauseVm = ['HostFailure'];
    const pausing = environment.client.pause(spec.id).catch((error: unknown) => error);
    await expect.poll(() => host.failures.pauseVm).toEqual([]);
    // It waits until the pause has settled, and needs the loop for that.
    const moved = environment.client.setTimeout(spec.id, { timeoutMs: 60_000 }).catch((error: unknown) => error);
    for (let round = 0; round < 20; round++) await environment.handle(spec.id).signal('nothing');
    // Nothing is asked of the workflow meanwhile: only its own timer brings it on.
    const pauses = (): number => host.calls.filter((call) => call.startsWith('pauseVm')).length;
    await expect.poll(pauses, { timeout: 20_000 }).toBe(2);
    expect(await moved).toMatchObject({ code: 'NotFound' });
    await pausing;
    await environment.client.kill(spec.id);
  });

  test('stays whose it is when it came from the warm pool', async () => {
    const host = await environment.host();
    const waiting = environment.spec(host, { tenant: '', warm: true, timeoutMs: 0 });
    await environment.client.create(waiting, {});
    const spec = environment.spec(host, { id: waiting.id, tenant: 't' });
    await environment.client.assign(spec);
    const firstRun = (await environment.handle(spec.id).describe()).runId;
    for (let round = 0; round < 6; round++) {
      await environment.client.pause(spec.id);
      await environment.client.resume(spec.id, {});
    }
    const { runId, searchAttributes } = await environment.handle(spec.id).describe();
    expect(runId).not.toBe(firstRun);
    expect(searchAttributes).toMatchObject({ SandboxTenant: ['t'] });
    expect(await environment.client.get(spec.id)).toMatchObject({ spec, status: 'running' });
    await expect(environment.client.assign(spec)).rejects.toMatchObject({ code: 'NotWarm' });
    await environment.client.kill(spec.id);
  });

  test('continues as new between two steps, whatever is asked of it meanwhile, and every request is answered', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    let stopped = false;
    /** What the workflow itself may say; nothing else may come of continuing as new. */
    const said = (error: unknown): string => (error as { code: string }).code;
    const codes = new Set<string>();
    const lane = async (ask: () => Promise<unknown>): Promise<void> => {
      while (!stopped) await ask().catch((error: unknown) => codes.add(said(error)));
    };
    const lanes = [
      ...[1, 2].map(() => lane(() => environment.client.pause(spec.id))),
      ...[1, 2].map(() => lane(() => environment.client.resume(spec.id, {}))),
      ...[1, 2].map(() => lane(() => environment.client.setTimeout(spec.id, { timeoutMs: 60_000 }))),
    ];
    const lengths: number[] = [];
    const runs = new Set<string>();
    const look = async (): Promise<number> => {
      const { runId, historyLength } = await environment.handle(spec.id).describe();
      lengths.push(historyLength);
      return runs.add(runId).size;
    };
    await expect.poll(look, { timeout: 25_000, interval: 50 }).toBeGreaterThan(4);
    stopped = true;
    await Promise.all(lanes);
    expect(['AlreadyPaused', 'NotFound', 'Superseded']).toEqual(expect.arrayContaining([...codes]));
    // Twice as long as when it should, and what was under way by then.
    expect(Math.max(...lengths)).toBeLessThan(40 * 2 + 80);
    await environment.client.kill(spec.id);
  }, 60_000);

  test('continues as new also while nothing but a destroy that failed is left to do, and its kill is answered', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const firstRun = (await environment.handle(spec.id).describe()).runId;
    host.failures.destroyVm = ['StaleGeneration'];
    host.factsOfFailures = { generation: 30 };
    const killing = environment.client.kill(spec.id).catch((error: unknown) => error);
    await expect.poll(() => host.calls.at(-1)).toBe('destroyVm 2');
    for (let round = 0; round < 20; round++) await environment.handle(spec.id).signal('nothing');
    await expect.poll(async () => (await environment.handle(spec.id).describe()).runId).not.toBe(firstRun);
    expect(await killing).toMatchObject({ status: 'killed' });
    expect(host.calls.slice(-2)).toEqual(['destroyVm 2', 'destroyVm 31']);
  });

  test('keeps its deadline over the border', async () => {
    const host = await environment.host();
    const spec = environment.spec(host, { timeoutMs: 20_000 });
    const { endAt } = await environment.client.create(spec, {});
    for (let round = 0; round < 20; round++) await environment.handle(spec.id).signal('nothing');
    expect(await environment.client.get(spec.id)).toMatchObject({ endAt });
    await environment.handle(spec.id).signal('setTimeout', { timeoutMs: 300 });
    expect(await environment.handle(spec.id).result()).toMatchObject({ reason: 'its timeout has passed' });
  });
});
