import { afterAll, beforeAll, expect, test } from 'vitest';
import { UpdateIds } from '../../src/api/update-ids.js';
import { TemporalSandboxClient } from '../../src/temporal/sandbox-client.js';
import { WorkflowEnvironment } from './environment.js';

let environment: WorkflowEnvironment;
beforeAll(async () => (environment = await WorkflowEnvironment.start()), 120_000);
afterAll(() => environment?.stop());

test('a kill comes through though as many updates wait as a workflow may have', async () => {
  const host = await environment.host();
  const spec = environment.spec(host);
  await environment.client.create(spec, {});
  let release = (): void => undefined;
  host.holds.pauseVm = new Promise((resolve) => (release = resolve));
  const quietly = (asked: Promise<unknown>): Promise<unknown> => asked.catch((error: unknown) => error);
  const waiting = [quietly(environment.client.pause(spec.id))];
  await expect.poll(() => host.calls.at(-1)).toBe('pauseVm 2');
  for (let count = 0; count < 12; count++)
    waiting.push(quietly(environment.client.setTimeout(spec.id, { timeoutMs: 60_000 })));
  // The create's, and the ten that may wait; Temporal sometimes takes one more, when another is accepted at that moment.
  await expect.poll(() => environment.acceptedUpdates(spec.id)).toBeGreaterThanOrEqual(11);
  const { connection, namespace } = environment.temporal;
  const hasty = new TemporalSandboxClient(connection, namespace ?? 'default', 1_000);
  const killing = quietly(hasty.kill(spec.id));
  await expect.poll(() => host.calls.some((call) => call.startsWith('destroyVm')), { timeout: 25_000 }).toBe(true);
  release();
  await Promise.all([...waiting, killing]);
  expect((await environment.handle(spec.id).describe()).status.name).not.toBe('RUNNING');
}, 90_000);

test('an api that was restarted gets no outcome of an attempt before, and joins one that is under way', async () => {
  const host = await environment.host();
  const spec = environment.spec(host);
  await environment.client.create(spec, {});
  const { generation } = await environment.client.pause(spec.id);
  const names: string[] = [];
  // The host refused before it began: what it has of the sandbox is of the same generation as before.
  const connect = (ids: UpdateIds) =>
    ids.run(spec.id, 'resume', generation, (updateId) => {
      names.push(updateId);
      return environment.client.resume(spec.id, {}, { updateId });
    });
  host.failures.resumeVm = ['InsufficientCapacity', 'InsufficientCapacity'];
  const api = new UpdateIds(environment.client);
  for (let attempt = 1; attempt <= 2; attempt++)
    await expect(connect(api)).rejects.toMatchObject({ code: 'InsufficientCapacity' });

  let release = (): void => undefined;
  host.holds.resumeVm = new Promise((resolve) => (release = resolve));
  const accepted = await environment.acceptedUpdates(spec.id);
  const afterRestart = connect(new UpdateIds(environment.client));
  await expect.poll(() => environment.acceptedUpdates(spec.id)).toBe(accepted + 1);
  const ofAnother = connect(new UpdateIds(environment.client));
  await expect.poll(() => names.length).toBe(4);
  release();
  expect(await Promise.all([afterRestart, ofAnother])).toMatchObject([{ resumed: true }, { resumed: true }]);
  expect(names[3]).toBe(names[2]);
  await environment.client.kill(spec.id);
}, 30_000);
