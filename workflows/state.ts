import type { ErrorCode } from './errors.js';
import {
  wholeView,
  type Keep,
  type SandboxChange,
  type SandboxSpec,
  type SandboxStatus,
  type SandboxView,
  type SavedImage,
  type TimeoutPolicy,
} from './view.js';

/** Everything that a sandbox's workflow carries, also through continue-as-new: plain JSON, times absolute. */
export interface SandboxState {
  schema: 1;
  spec: SandboxSpec;
  /** Its machine was made for the warm pool, and `spec` came with the create that took it. */
  takenOver?: true;
  /** What was last asked for; the loop drives `status` towards it. */
  desired: 'running' | 'paused' | 'killed';
  status: SandboxStatus;
  /** `desired: paused` came from a person, not from the timeout: activity does not cancel it. */
  pauseAsked: boolean;
  /** The pause that goes on came from the timeout: repeated, it asks again whether the sandbox is idle. */
  pausesIfIdle?: boolean;
  /** What the pause that is wanted, or goes on, keeps. */
  pauseKeeps: Keep;
  /** What the resume that is wanted, or goes on, starts from; `disk` gives up a memory that was kept. */
  resumeFrom: Keep;
  /** Timeout that the next resume starts with. */
  resumeTimeoutMs: number;
  /** How it will have ended once it is destroyed. */
  endsAs: 'killed' | 'failed';
  generation: number;
  timeoutMs: number;
  onTimeout: TimeoutPolicy;
  startedAt: number;
  /** While running: the deadline of kill, or of the next look at idleness. */
  endAt: number;
  pausedAt: number | null;
  image: SavedImage | null;
  reason: string;
  lastError: { code: string; message: string; at: number } | null;
  /** Its image failed authentication; says how. */
  damaged?: string;
  /** Consecutive automatic pauses, or steps with an unknown outcome, that failed. */
  pauseFailures: number;
  /** Not before this may the loop act again (a failed automatic pause, a host that did not answer). */
  backOffUntil: number;
  /** Consecutive attempts to remove it that failed, and the earliest moment of the next one; absent: none. */
  destroyFailures?: number;
  destroyNotBefore?: number;
  /** A deadline moved without a machine being touched: the host's index must be told. */
  unpublished: boolean;
  publishNotBefore: number;
  /** The nonce that the tokens are to have; absent when they have it. */
  rotateTo?: string;
  rotateFailures?: number;
  rotateNotBefore?: number;
  /** Counts finished steps, so that a waiting caller can tell a failure of its own from an older one. */
  outcomes: number;
  lastOutcome: Outcome | null;
  /** Answers already given, by update id, newest last: a repeated call gets its own. */
  operations: { id: string; answer: unknown; error: { code: string; message: string } | null }[];
}

export type Verb = 'create' | 'pause' | 'resume' | 'destroy' | 'publish' | 'rotate';

export interface Outcome {
  number: number;
  verb: Verb;
  error: { code: ErrorCode; message: string } | null;
}

export const REMEMBERED_OPERATIONS = 20;

export function newState(spec: SandboxSpec, now: number): SandboxState {
  return {
    schema: 1,
    spec,
    desired: 'running',
    status: 'creating',
    pauseAsked: false,
    pauseKeeps: 'memory',
    resumeFrom: 'memory',
    resumeTimeoutMs: spec.timeoutMs,
    endsAs: 'killed',
    generation: 0,
    timeoutMs: spec.timeoutMs,
    onTimeout: spec.onTimeout,
    startedAt: now,
    endAt: now + spec.timeoutMs,
    pausedAt: null,
    image: null,
    reason: 'being created',
    lastError: null,
    pauseFailures: 0,
    backOffUntil: 0,
    unpublished: false,
    publishNotBefore: 0,
    outcomes: 0,
    lastOutcome: null,
    operations: [],
  };
}

/** Expiry of a paused sandbox; counted from the moment of pausing. */
export const expiresAt = (state: SandboxState): number =>
  (state.pausedAt ?? state.startedAt) + state.spec.pausedRetentionMs;

export const isSettled = (state: SandboxState): boolean =>
  (state.status === 'running' && state.desired === 'running') ||
  (state.status === 'paused' && state.desired === 'paused');

export const hasEnded = (state: SandboxState): boolean => state.status === 'killed' || state.status === 'failed';

export const viewOf = (state: SandboxState): SandboxView => wholeView(state.spec, changeOf(state));

export function changeOf(state: SandboxState): SandboxChange {
  const { tokenNonce } = state.spec;
  return {
    spec: { onTimeout: state.onTimeout, ...(tokenNonce === undefined ? {} : { tokenNonce }) },
    status: state.status,
    generation: state.generation,
    startedAt: state.startedAt,
    timeoutMs: state.timeoutMs,
    endAt: state.status === 'paused' ? expiresAt(state) : state.endAt,
    ...(state.pausedAt === null ? {} : { pausedAt: state.pausedAt }),
    ...(state.image === null ? {} : { image: state.image }),
    reason: state.reason,
    ...(state.damaged === undefined ? {} : { damaged: state.damaged }),
    ...(state.lastError === null ? {} : { lastError: state.lastError }),
  };
}
