import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { SandboxChange, SandboxSpec, SandboxView } from './view.js';

/**
 * The public messages of a sandbox's workflow. `pause`, `resume`, `kill` and `setTimeout` exist as signal (for
 * scripts: never fails, malformed input is logged and ignored) and as update (for the api: answers when settled).
 */

export interface PauseInput {
  /** False: the machine is shut down and only its disk kept. */
  memory?: boolean;
}

export interface ResumeInput {
  /** False: a machine whose memory was kept is booted from its disk all the same, and that memory given up. */
  memory?: boolean;
  /** New timeout, counted from now. Running: extends only, never shortens. Absent: the sandbox's own timeout. */
  timeoutMs?: number;
  /**
   * `resume` (deprecated route) refuses a running sandbox with `AlreadyRunning`; `connect` accepts it. `traffic` is a
   * request to a sleeping sandbox: a pause that is under way goes first, a running sandbox is left as it is, and
   * `timeoutMs` is the least that the sandbox gets; its own counts when that is longer.
   */
  mode?: 'connect' | 'resume' | 'traffic';
  /** Replaces the policy given at create (deprecated route only). */
  onTimeout?: 'kill' | 'pause';
}

export interface SetTimeoutInput {
  /** 0 does at once what the timeout does at its end; answers when the sandbox is killed or paused. */
  timeoutMs: number;
  /** `set` moves the deadline either way, `extend` only later. */
  mode?: 'set' | 'extend';
}

export interface RotateInput {
  /** 32 hex digits, drawn by who asks: a workflow must not draw. See `src/keys/access-token.ts`. */
  tokenNonce: string;
}

export interface AssignInput {
  /** Of the sandbox that the warm machine becomes; the same id, host and template. */
  spec: SandboxSpec;
}

export interface DiscardInput {
  /** For people, a few words. */
  why: string;
}

/** Answer of `resume`: whether this call woke a machine (HTTP 201) or found it running (HTTP 200). */
export interface ResumeResult<View = SandboxChange> {
  view: View;
  resumed: boolean;
}

export const pauseSignal = defineSignal<[unknown?]>('pause');
export const resumeSignal = defineSignal<[unknown?]>('resume');
export const killSignal = defineSignal<[unknown?]>('kill');
export const setTimeoutSignal = defineSignal<[unknown?]>('setTimeout');
/** The host saw the machine end by itself. */
export const machineEndedSignal = defineSignal<[unknown?]>('machineEnded');

/** Detail of the failure of an update that was not taken because its run is too long; the next run takes it. */
export const FULL_RUN = 'full-run';

/** For update-with-start at create: answers when the machine runs, with the spec: it may be that of a create before. */
export const readyUpdate = defineUpdate<SandboxView>('ready');
export const pauseUpdate = defineUpdate<SandboxChange, [PauseInput]>('pause');
export const resumeUpdate = defineUpdate<ResumeResult, [ResumeInput]>('resume');
export const killUpdate = defineUpdate<SandboxChange>('kill');
export const setTimeoutUpdate = defineUpdate<SandboxChange, [SetTimeoutInput]>('setTimeout');

/** The sandbox's tokens become those of another nonce; answers when nothing knows the old ones any more. */
export const rotateTokensUpdate = defineUpdate<SandboxChange, [RotateInput]>('rotateTokens');

/** For the warm pool: a create takes a warm machine (answers when the sandbox runs), or the pool gives it up. */
export const assignUpdate = defineUpdate<SandboxChange, [AssignInput]>('assign');
export const discardUpdate = defineUpdate<SandboxChange, [DiscardInput]>('discard');

export const getQuery = defineQuery<SandboxView>('get');
