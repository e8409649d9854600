import { afterAll, beforeAll, expect, test } from 'vitest';
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
  // The create's, and the ten that may wait.
  await expect.poll(() => environment.acceptedUpdates(spec.id)).toBe(11);
  const killing = quietly(environment.client.kill(spec.id));
  await expect.poll(() => host.calls.some((call) => call.startsWith('destroyVm')), { timeout: 25_000 }).toBe(true);
  release();
  await Promise.all([...waiting, killing]);
  expect((await environment.handle(spec.id).describe()).status.name).not.toBe('RUNNING');
}, 90_000);
