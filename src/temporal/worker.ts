import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { HostActivities } from '../../workflows/host-activities.js';
import { traceActivities } from '../tracing/temporal-interceptors.js';
import { CONTROL_TASK_QUEUE, formerTaskQueue, stepTaskQueue } from '../../workflows/names.js';
import { STEP_KINDS, type StepKind } from '../../workflows/step-queues.js';

/** Made by the build, beside this module's tree. */
const bundle = fileURLToPath(new URL('../../workflow-bundle.js', import.meta.url));

/** A cached workflow costs about half a MiB of this process; an evicted one is replayed when it is needed. */
const CACHED_WORKFLOWS = 500;

/** How long a message waits for the worker that has the workflow cached: so late is the first answer after that one died. */
const STICKY_FOR = '2 s';

export async function createControlWorker(connection: NativeConnection, namespace: string): Promise<Worker> {
  return Worker.create({
    connection,
    namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: { code: await readFile(bundle, 'utf8') },
    maxCachedWorkflows: CACHED_WORKFLOWS,
    stickyQueueScheduleToStartTimeout: STICKY_FOR,
    shutdownGraceTime: '5 s',
  });
}

/**
 * Steps of each kind that the host takes at once. A step waits for its own sandbox alone, so these are no measure of what the host
 * can do at once (libvirt, processors and memory have limits of their own), but of how many waits it takes to keep the
 * others from beginning. Guests that do not answer are as many as the host's memory has room for, hence so many. Steps
 * wait for their turn on the host and not in Temporal, whose queues know no tenants (`activities/turns.ts`).
 */
const SLOTS: Record<StepKind, number> = { short: 200, machine: 4_000, guest: 4_000 };
/** As many as there were when all steps shared them. */
const FORMER_SLOTS = 64;

export interface HostWorker {
  /** Until it is shut down, by {@link HostWorker.shutdown} or a signal. */
  run(): Promise<void>;
  shutdown(): void;
}

/** Activities only; its queues are the host's, and the same after every restart. */
export async function createHostWorker(
  connection: NativeConnection,
  namespace: string,
  hostId: string,
  activities: HostActivities,
  slots: Partial<Record<StepKind, number>> = {},
): Promise<HostWorker> {
  const create = (taskQueue: string, most: number): Promise<Worker> =>
    Worker.create({
      connection,
      namespace,
      taskQueue,
      activities,
      interceptors: { activity: [traceActivities] },
      maxConcurrentActivityTaskExecutions: most,
      // What is not done by then is done by the next worker: every verb may run twice.
      shutdownGraceTime: '10 s',
      shutdownForceTime: '15 s',
    });
  const workers = await Promise.all([
    ...STEP_KINDS.map((kind) => create(stepTaskQueue(kind, hostId), slots[kind] ?? SLOTS[kind])),
    create(formerTaskQueue(hostId), FORMER_SLOTS),
  ]);
  const shutdown = (): void => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const run = async (): Promise<void> => {
    const runs = workers.map((worker) => worker.run());
    // One that ends by itself takes the others along: a host that does half of its steps must be started again.
    await Promise.all(runs.map((each) => each.finally(shutdown)));
  };
  return { run, shutdown };
}
