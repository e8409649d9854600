import type { HostActivities } from './host-activities.js';

/**
 * Kinds of steps of a host, by what they may have to wait for. Each kind has a task queue and slots of its own: a kill
 * or a create never waits for a slot that guests hold who do not answer.
 *
 * `short`: for nothing that lasts. `machine`: for QEMU, disk and processors. `guest`: for what a tenant's guest does.
 */
export const STEP_KINDS = ['short', 'machine', 'guest'] as const;

export type StepKind = (typeof STEP_KINDS)[number];

export const KIND_OF_STEP: Record<keyof HostActivities, StepKind> = {
  destroyVm: 'short',
  publishView: 'short',
  inspectVm: 'short',
  idleFor: 'short',
  createVm: 'machine',
  assignVm: 'machine',
  pauseVm: 'machine',
  shutDownVm: 'guest',
  resumeVm: 'guest',
  bootVm: 'guest',
  rotateTokens: 'guest',
};
