import type { StepKind } from './step-queues.js';

/** Names that more than one role must agree on: a mismatch in a task queue's name is not an error, just silence. */

export const CONTROL_TASK_QUEUE = 'sandbox-control';

/** Task queues are per host, never per process: a machine outlives the worker that started it. */
export const stepTaskQueue = (kind: StepKind, hostId: string): string => `sandbox-${kind}-${hostId}`;

/** The one queue that a host had for all its steps before: served for what a workflow of then has asked for. */
export const formerTaskQueue = (hostId: string): string => `sandbox-host-${hostId}`;

export const SANDBOX_WORKFLOW_TYPE = 'sandbox';

export const sandboxWorkflowId = (sandboxId: string): string => `sandbox-${sandboxId}`;

/** Lowercase letters and digits only: SDKs split host names at `-`. */
export const SANDBOX_ID_PATTERN = /^[a-z0-9]{1,40}$/;

/** Temporal header with the W3C `traceparent` of the request that caused something. */
export const TRACE_HEADER = 'traceparent';
