import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WorkflowEnvironment } from './environment.js';

describe.each([
  ['with cached workflows', {}],
  ['replayed at every task', { maxCachedWorkflows: 0 }],
])('a sandbox workflow, %s', (_name, options) => {
  let environment: WorkflowEnvironment;
  beforeAll(async () => {
    environment = await WorkflowEnvironment.start(options);
  }, 120_000);
  afterAll(() => environment.stop());

  test('is created, paused, resumed and killed, each step at a higher generation', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    expect(await environment.client.create(spec, {})).toMatchObject({ status: 'running', generation: 1 });
    expect(await environment.client.pause(spec.id)).toMatchObject({ status: 'paused', image: { generation: 2 } });
    const { view, resumed } = await environment.client.resume(spec.id, { timeoutMs: 60_000 });
    expect({ resumed, status: view.status, generation: view.generation }).toEqual({
      resumed: true,
      status: 'running',
      generation: 3,
    });
    expect(await environment.client.kill(spec.id)).toMatchObject({ status: 'killed' });
    expect(host.calls.filter((call) => !call.startsWith('publish'))).toEqual([
      'createVm 1',
      'pauseVm 2',
      'resumeVm 3 of 2',
      'destroyVm 4',
    ]);
    await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('refuses a second pause and a resume of a running sandbox, and connect extends but never shortens', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    const created = await environment.client.create(spec, {});
    await expect(environment.client.resume(spec.id, { mode: 'resume' })).rejects.toMatchObject({
      code: 'AlreadyRunning',
    });
    const shorter = await environment.client.resume(spec.id, { timeoutMs: 1_000 });
    expect(shorter).toMatchObject({ resumed: false, view: { endAt: created.endAt } });
    const longer = await environment.client.resume(spec.id, { timeoutMs: 600_000 });
    expect(longer.view.endAt).toBeGreaterThan(created.endAt + 290_000);
    await environment.client.pause(spec.id);
    await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'AlreadyPaused' });
    await environment.client.kill(spec.id);
  });

  test('tells a creation that failed, clears it away and ends', async () => {
    const host = await environment.host();
    host.failures.createVm = ['InsufficientCapacity'];
    const spec = environment.spec(host);
    await expect(environment.client.create(spec, {})).rejects.toMatchObject({ code: 'InsufficientCapacity' });
    expect(await environment.handle(spec.id).result()).toMatchObject({ status: 'failed' });
    expect(host.calls).toEqual(['createVm 1', 'destroyVm 2']);
  });

  test('gives every repeat of a create the answer of the first, also after its workflow has ended', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    const again = () => environment.client.create(spec, { mayExist: true });
    const [first, ...others] = await Promise.all([again(), again(), again()]);
    for (const other of others) expect(other).toEqual(first);
    expect(host.calls).toEqual(['createVm 1']);
    await environment.client.kill(spec.id);
    expect(await again()).toEqual(first);

    const full = environment.spec(host);
    host.failures.createVm = ['InsufficientCapacity'];
    const failing = () => environment.client.create(full, { mayExist: true });
    await expect(failing()).rejects.toMatchObject({ code: 'InsufficientCapacity' });
    await environment.handle(full.id).result();
    await expect(failing()).rejects.toMatchObject({ code: 'InsufficientCapacity' });
    expect(host.calls.filter((call) => call.startsWith('createVm'))).toHaveLength(2);
  });

  test('runs on after a failed pause and stays paused after a failed resume', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    host.failures.pauseVm = ['PauseFailed'];
    await expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'PauseFailed' });
    expect(await environment.client.get(spec.id)).toMatchObject({
      status: 'running',
      lastError: { code: 'PauseFailed' },
    });
    await environment.client.pause(spec.id);
    host.failures.resumeVm = ['ImageDamaged'];
    await expect(environment.client.resume(spec.id, {})).rejects.toMatchObject({ code: 'ImageDamaged' });
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'paused', image: { generation: 3 } });
    expect(await environment.client.resume(spec.id, {})).toMatchObject({ resumed: true });
    await environment.client.kill(spec.id);
  });

  test('is killed without waiting for what it is doing', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    host.holds.pauseVm = new Promise(() => undefined);
    const pausing = environment.client.pause(spec.id);
    const told = expect(pausing).rejects.toMatchObject({ code: 'NotFound' });
    await expect.poll(() => host.calls.at(-1)).toBe('pauseVm 2');
    expect(await environment.client.kill(spec.id)).toMatchObject({ status: 'killed' });
    await told;
    expect(host.calls.at(-1)).toBe('destroyVm 3');
  });

  test('lets a connect overtake a pause, and tells the pause so', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    let release = (): void => undefined;
    host.holds.pauseVm = new Promise((resolve) => (release = resolve));
    const pausing = expect(environment.client.pause(spec.id)).rejects.toMatchObject({ code: 'Superseded' });
    await expect.poll(() => host.calls.at(-1)).toBe('pauseVm 2');
    const resuming = environment.client.resume(spec.id, {});
    await pausing;
    release();
    expect(await resuming).toMatchObject({ resumed: true, view: { status: 'running' } });
    await environment.client.kill(spec.id);
  });

  test('lets a pause that is under way settle before traffic wakes it, and each caller gets its own answer', async () => {
    const host = await environment.host();
    const spec = environment.spec(host, { timeoutMs: 900_000, autoResume: true });
    await environment.client.create(spec, {});
    let release = (): void => undefined;
    host.holds.pauseVm = new Promise((resolve) => (release = resolve));
    const first = environment.client.pause(spec.id);
    await expect.poll(() => host.calls.at(-1)).toBe('pauseVm 2');
    const traffic = { mode: 'traffic', timeoutMs: 300_000 } as const;
    const before = Date.now();
    const woken = Promise.all([1, 2, 3].map(() => environment.client.resume(spec.id, traffic)));
    await expect.poll(async () => (await environment.client.get(spec.id))?.status).toBe('pausing');
    const second = environment.client.pause(spec.id);
    // The create's, and these five.
    await expect.poll(() => environment.acceptedUpdates(spec.id)).toBe(6);
    release();
    expect((await Promise.all([first, second])).map((view) => view.image?.generation)).toEqual([2, 2]);
    expect((await woken).map(({ resumed, view }) => [resumed, view.generation])).toEqual(Array(3).fill([true, 3]));
    expect((await woken)[0]!.view.endAt).toBeGreaterThanOrEqual(before + 900_000);
    await environment.client.kill(spec.id);
  });

  test('leaves a running sandbox as it is when traffic asks for it', async () => {
    const host = await environment.host();
    const spec = environment.spec(host, { timeoutMs: 10_000 });
    const { endAt } = await environment.client.create(spec, {});
    const answer = await environment.client.resume(spec.id, { mode: 'traffic', timeoutMs: 300_000 });
    expect(answer).toMatchObject({ resumed: false, view: { endAt } });
    await environment.client.kill(spec.id);
  });

  test('joins a second pause to the first', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const views = await Promise.all([1, 2, 3].map(() => environment.client.pause(spec.id)));
    expect(views.map((view) => view.image?.generation)).toEqual([2, 2, 2]);
    await environment.client.kill(spec.id);
  });

  test('gives a repeated update the answer that it got the first time', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const first = await environment.client.pause(spec.id, { updateId: 'pause:1' });
    expect(await environment.client.pause(spec.id, { updateId: 'pause:1' })).toEqual(first);
    await environment.client.kill(spec.id);
  });

  test('pauses when idle at its timeout, not while it is active', async () => {
    const host = await environment.host();
    host.idleForMs = 0;
    const spec = environment.spec(host, { onTimeout: 'pause', timeoutMs: 700 });
    await environment.client.create(spec, {});
    await expect
      .poll(() => host.calls.filter((call) => call.startsWith('pauseVm')).length, { timeout: 10_000 })
      .toBeGreaterThan(1);
    expect(await environment.client.get(spec.id)).not.toMatchObject({ status: 'paused' });
    host.idleForMs = Number.MAX_SAFE_INTEGER;
    await expect.poll(async () => (await environment.client.get(spec.id))?.status, { timeout: 10_000 }).toBe('paused');
    await environment.client.kill(spec.id);
  });

  test('is killed at its timeout, and at its expiry when paused', async () => {
    const host = await environment.host();
    const plain = environment.spec(host);
    await environment.client.create(plain, {});
    await environment.handle(plain.id).signal('setTimeout', { timeoutMs: 500 });
    expect(await environment.handle(plain.id).result()).toMatchObject({
      status: 'killed',
      reason: 'its timeout has passed',
    });
    const paused = environment.spec(host, { pausedRetentionMs: 500 });
    await environment.client.create(paused, {});
    // On a busy machine it expires before its answer is made.
    const pausing = environment.client
      .pause(paused.id)
      .catch((error: unknown) => expect(error).toMatchObject({ code: 'NotFound' }));
    expect(await environment.handle(paused.id).result()).toMatchObject({ status: 'killed' });
    await pausing;
    await expect(environment.client.resume(paused.id, {})).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('takes pause, resume, setTimeout and kill as plain signals, and survives unknown and malformed ones', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const handle = environment.handle(spec.id);
    await handle.signal('setTimeout', 'soon');
    await handle.signal('setTimeout', { timeoutMs: -1 });
    await handle.signal('pasue');
    await handle.signal('resume', [1, 2, 3]);
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running', generation: 1 });
    await handle.signal('pause');
    await expect.poll(async () => (await environment.client.get(spec.id))?.status).toBe('paused');
    await handle.signal('resume');
    await expect.poll(async () => (await environment.client.get(spec.id))?.status).toBe('running');
    await handle.signal('kill');
    expect(await handle.result()).toMatchObject({ status: 'killed' });
  });

  test('kills at once when its timeout is set to 0', async () => {
    const host = await environment.host();
    const specs = [environment.spec(host), environment.spec(host)];
    for (const spec of specs) await environment.client.create(spec, {});
    const [updated, signalled] = specs.map(({ id }) => id);
    expect(await environment.client.setTimeout(updated!, { timeoutMs: 0 })).toMatchObject({ status: 'killed' });
    await environment.handle(signalled!).signal('setTimeout', { timeoutMs: 0 });
    expect(await environment.handle(signalled!).result()).toMatchObject({
      status: 'killed',
      reason: 'its timeout was set to 0',
    });
  });

  test.each([undefined, 'disk'] as const)(
    'pauses at once when its timeout is set to 0, busy or not, and keeps its timeout (keeps: %s)',
    async (autoPauseKeeps) => {
      const host = await environment.host();
      host.idleForMs = 0;
      const kept = autoPauseKeeps === undefined ? {} : { autoPauseKeeps };
      const spec = environment.spec(host, { onTimeout: 'pause', timeoutMs: 600_000, ...kept });
      await environment.client.create(spec, {});
      const paused = await environment.client.setTimeout(spec.id, { timeoutMs: 0 });
      expect([paused.status, paused.image?.kind]).toEqual(['paused', autoPauseKeeps]);
      await expect(environment.client.setTimeout(spec.id, { timeoutMs: 0 })).rejects.toMatchObject({
        code: 'NotFound',
      });
      const { view } = await environment.client.resume(spec.id, {});
      expect([view.status, view.timeoutMs]).toEqual(['running', 600_000]);
      host.failures[autoPauseKeeps === 'disk' ? 'shutDownVm' : 'pauseVm'] = ['PauseFailed'];
      await expect(environment.client.setTimeout(spec.id, { timeoutMs: 0 })).rejects.toMatchObject({
        code: 'PauseFailed',
      });
      await environment.client.kill(spec.id);
    },
  );

  test('ends as failed when its machine ended by itself, and not for a report of an earlier generation', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    await environment.client.machineEnded(spec.id, 0, 'stale');
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running' });
    await environment.client.machineEnded(spec.id, 1, 'QEMU died');
    expect(await environment.handle(spec.id).result()).toMatchObject({
      status: 'failed',
      reason: expect.stringContaining('QEMU died'),
    });
  });

  test('is killed when its workflow is cancelled', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    await environment.handle(spec.id).cancel();
    expect(await environment.handle(spec.id).result()).toMatchObject({ status: 'killed' });
  });

  test('rotates tokens while it runs and while it sleeps, and hands them on to the next wake', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    const [first, second, third, last] = ['1', '2', '3', '4'].map((digit) => digit.repeat(32));
    await environment.client.create(spec, {});
    const rotate = (tokenNonce: string) => environment.client.rotateTokens(spec.id, { tokenNonce });
    expect(await rotate(first!)).toMatchObject({ status: 'running', spec: { tokenNonce: first } });
    expect(host.views.get(spec.id)?.spec.tokenNonce).toBe(first);
    await environment.client.pause(spec.id);
    const [one, other] = await Promise.all([rotate(second!), rotate(third!)]);
    expect([second, third]).toContain(one!.spec?.tokenNonce);
    expect(other!.spec?.tokenNonce).toBe(one!.spec?.tokenNonce);
    const { view } = await environment.client.resume(spec.id, {});
    expect([view, host.views.get(spec.id)]).toMatchObject([{ spec: one!.spec }, { spec: one!.spec }]);
    host.failures.rotateTokens = ['ImageDamaged'];
    await expect(rotate(last!)).rejects.toMatchObject({ code: 'OutcomeUnknown' });
    expect(await environment.client.get(spec.id)).toMatchObject({ status: 'running', spec: one!.spec });
    expect(await rotate(last!.replace('4', '5'))).toMatchObject({ status: 'running' });
    await environment.client.kill(spec.id);
    await expect(rotate('6'.repeat(32))).rejects.toMatchObject({ code: 'NotFound' });
  });

  test('tells the host of a moved deadline before it answers, and answers also when the host is not there to be told', async () => {
    const host = await environment.host();
    const spec = environment.spec(host);
    await environment.client.create(spec, {});
    const moved = await environment.client.setTimeout(spec.id, { timeoutMs: 5_000_000 });
    expect(host.views.get(spec.id)?.endAt).toBe(moved.endAt);
    const extended = await environment.client.resume(spec.id, { timeoutMs: 6_000_000 });
    expect(host.views.get(spec.id)?.endAt).toBe(extended.view.endAt);
    const [one, other] = await Promise.all(
      [7, 8].map((hours) => environment.client.setTimeout(spec.id, { timeoutMs: hours * 3_600_000 })),
    );
    expect([one!.endAt, other!.endAt]).toContain(host.views.get(spec.id)?.endAt);
    host.failures.publishView = ['HostFailure', 'HostFailure', 'HostFailure'];
    const before = Date.now();
    const unheard = await environment.client.setTimeout(spec.id, { timeoutMs: 9_000_000 });
    expect(unheard.endAt).toBeGreaterThanOrEqual(before + 9_000_000);
    await environment.client.kill(spec.id);
  });
});
