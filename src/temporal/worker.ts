import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Worker, type NativeConnection } from '@temporalio/worker';
import type { HostActivities } from '../../workflows/host-activities.js';
import { traceActivities } from '../tracing/temporal-interceptors.js';
import { CONTROL_TASK_QUEUE, hostTaskQueue } from '../../workflows/names.js';

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

/** Activities only; its queue is the host's, and the same after every restart. */
export async function createHostWorker(
  connection: NativeConnection,
  namespace: string,
  hostId: string,
  activities: HostActivities,
): Promise<Worker> {
  return Worker.create({
    connection,
    namespace,
    taskQueue: hostTaskQueue(hostId),
    activities,
    interceptors: { activity: [traceActivities] },
    maxConcurrentActivityTaskExecutions: 64,
    // What is not done by then is done by the next worker: every verb may run twice.
    shutdownGraceTime: '10 s',
    shutdownForceTime: '15 s',
  });
}
