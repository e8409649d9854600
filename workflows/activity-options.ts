import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { HostActivities } from './host-activities.js';
import { stepTaskQueue } from './names.js';
import { KIND_OF_STEP } from './step-queues.js';
import { ACTIVITY_TIMEOUTS } from './timeouts.js';

/** The activities of one host, each with its own timeouts and a summary for Temporal's UI. */
export function hostActivities(hostId: string, summary: string): HostActivities {
  const proxy = <K extends keyof typeof ACTIVITY_TIMEOUTS>(name: K): HostActivities[K] => {
    const { retry, ...timeouts } = ACTIVITY_TIMEOUTS[name];
    const activities = proxyActivities<HostActivities>({
      ...timeouts,
      retry: retry.maximumAttempts === 0 ? { ...retry, maximumAttempts: undefined as never } : retry,
      taskQueue: stepTaskQueue(KIND_OF_STEP[name], hostId),
      // A kill does not wait for what it pre-empts; the host's lock and generation keep the two apart.
      cancellationType: ActivityCancellationType.TRY_CANCEL,
      summary,
    });
    return activities[name] as HostActivities[K];
  };
  return {
    createVm: proxy('createVm'),
    assignVm: proxy('assignVm'),
    pauseVm: proxy('pauseVm'),
    shutDownVm: proxy('shutDownVm'),
    resumeVm: proxy('resumeVm'),
    bootVm: proxy('bootVm'),
    destroyVm: proxy('destroyVm'),
    publishView: proxy('publishView'),
    rotateTokens: proxy('rotateTokens'),
  } as HostActivities;
}
