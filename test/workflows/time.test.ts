import { WorkflowNotFoundError } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTROL_TASK_QUEUE, SANDBOX_WORKFLOW_TYPE, sandboxWorkflowId } from '../../workflows/names.js';
import type { SandboxSpec } from '../../workflows/view.js';
import { WorkflowEnvironment } from './environment.js';
import type { FakeHost } from './fake-host.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

let environment: WorkflowEnvironment;
beforeAll(async () => {
  environment = await WorkflowEnvironment.startTimeSkipping();
}, 300_000);
afterAll(() => environment.stop());

const statusIs = (id: string, status: string) =>
  expect.poll(async () => (await environment.client.get(id))?.status, { timeout: 20_000 }).toBe(status);

/** Started without an update: the server's clock does not jump while one is waited for. @returns the sandbox's id */
async function running(host: FakeHost, change: Partial<SandboxSpec>): Promise<string> {
  const spec = environment.spec(host, change);
  await environment.temporal.client.workflow.start(SANDBOX_WORKFLOW_TYPE, {
    taskQueue: CONTROL_TASK_QUEUE,
    workflowId: sandboxWorkflowId(spec.id),
    args: [{ spec }],
  });
  await statusIs(spec.id, 'running');
  return spec.id;
}

async function paused(host: FakeHost): Promise<string> {
  const id = await running(host, { timeoutMs: DAY, pausedRetentionMs: 30 * DAY });
  await environment.handle(id).signal('pause');
  await statusIs(id, 'paused');
  return id;
}

const pausesOf = (host: FakeHost): number => host.calls.filter((call) => call.startsWith('pauseVm')).length;

test('a paused sandbox resumes after 29 days and 23 hours, and is gone after 30 days', async () => {
  const host = await environment.host();
  const [woken, left] = [await paused(host), await paused(host)];
  await environment.temporal.sleep(29 * DAY + 23 * HOUR);
  await statusIs(left, 'paused');
  await environment.handle(woken).signal('resume');
  await statusIs(woken, 'running');
  await environment.temporal.sleep(HOUR + MINUTE);
  await statusIs(woken, 'running');
  await statusIs(left, 'killed');
  expect(await environment.client.get(left)).toMatchObject({ reason: 'it was paused for as long as it is kept' });
  await expect(environment.handle(left).signal('resume')).rejects.toThrow(WorkflowNotFoundError);
  expect(host.views.has(left)).toBe(false);
  await environment.handle(woken).signal('kill');
});

test('the clock of a sandbox stands while it is paused: after waking it has its whole timeout again', async () => {
  const host = await environment.host();
  const id = await running(host, { timeoutMs: HOUR, pausedRetentionMs: 30 * DAY });
  await environment.handle(id).signal('pause');
  await statusIs(id, 'paused');
  await environment.temporal.sleep(5 * DAY);
  await environment.handle(id).signal('resume');
  await statusIs(id, 'running');
  await environment.temporal.sleep(59 * MINUTE);
  await statusIs(id, 'running');
  expect(await environment.handle(id).result()).toMatchObject({ status: 'killed', reason: 'its timeout has passed' });
});

test('an idle sandbox with automatic pause pauses at its timeout and not before', async () => {
  const host = await environment.host();
  const id = await running(host, { onTimeout: 'pause', timeoutMs: HOUR });
  await environment.temporal.sleep(59 * MINUTE);
  expect(pausesOf(host)).toBe(0);
  await environment.temporal.sleep(2 * MINUTE);
  await statusIs(id, 'paused');
  expect(pausesOf(host)).toBe(1);
  await environment.handle(id).signal('kill');
});

test('an active sandbox with automatic pause runs on, and is looked at again one timeout after its last activity', async () => {
  const host = await environment.host();
  const id = await running(host, { onTimeout: 'pause', timeoutMs: HOUR });
  host.idleForMs = 10 * MINUTE;
  await environment.temporal.sleep(HOUR + MINUTE);
  expect(pausesOf(host)).toBe(1);
  await statusIs(id, 'running');
  await environment.temporal.sleep(48 * MINUTE);
  expect(pausesOf(host)).toBe(1);
  await environment.temporal.sleep(2 * MINUTE);
  expect(pausesOf(host)).toBe(2);
  await statusIs(id, 'running');
  await environment.handle(id).signal('kill');
});

test('a plain sandbox is killed at its timeout and not before, active or not', async () => {
  const host = await environment.host();
  host.idleForMs = 0;
  const id = await running(host, { timeoutMs: HOUR });
  await environment.temporal.sleep(59 * MINUTE);
  await statusIs(id, 'running');
  await environment.temporal.sleep(2 * MINUTE);
  expect(await environment.handle(id).result()).toMatchObject({ status: 'killed', reason: 'its timeout has passed' });
  expect(host.calls.filter((call) => !call.startsWith('publish'))).toEqual(['createVm 1', 'destroyVm 2']);
});
