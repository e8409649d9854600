import { hasEnded, type SandboxState } from './state.js';
import type { ErrorCode } from './errors.js';
import type { ResumeInput, SetTimeoutInput } from './messages.js';

/**
 * What messages do to the state, pure and synchronous: they edit `desired` and deadlines, and nothing else.
 * @returns a refusal, or undefined when taken.
 */
export interface Refusal {
  code: ErrorCode;
  message: string;
}

const gone = (state: SandboxState): Refusal | undefined =>
  hasEnded(state) || state.desired === 'killed'
    ? { code: 'NotFound', message: `sandbox ${state.spec.id} has been killed` }
    : undefined;

export function requestPause(state: SandboxState): Refusal | undefined {
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  if (state.status === 'paused' && state.desired === 'paused') {
    return { code: 'AlreadyPaused', message: `sandbox ${state.spec.id} is already paused` };
  }
  state.desired = 'paused';
  state.pauseAsked = true;
  return undefined;
}

export function requestResume(state: SandboxState, input: ResumeInput): Refusal | undefined {
  if (state.desired === 'killed' && !hasEnded(state)) {
    return { code: 'BeingKilled', message: `sandbox ${state.spec.id} is being killed` };
  }
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  if (state.status === 'running' && state.desired === 'running' && input.mode === 'resume') {
    return { code: 'AlreadyRunning', message: `sandbox ${state.spec.id} is already running` };
  }
  state.desired = 'running';
  state.pauseAsked = false;
  const asked = input.timeoutMs ?? state.timeoutMs;
  state.resumeTimeoutMs = input.mode === 'traffic' ? Math.max(asked, state.timeoutMs) : asked;
  if (input.onTimeout !== undefined) state.onTimeout = input.onTimeout;
  return undefined;
}

export function requestKill(state: SandboxState, why: string): void {
  if (hasEnded(state) || state.desired === 'killed') return;
  state.desired = 'killed';
  state.reason = why;
}

/** The clock of a paused sandbox stands: its timeout cannot be moved, as upstream answers 404 there. */
export function requestTimeout(state: SandboxState, input: SetTimeoutInput, now: number): Refusal | undefined {
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  if (state.status === 'paused' || state.status === 'resuming') {
    return { code: 'NotFound', message: `sandbox ${state.spec.id} is not running` };
  }
  moveDeadline(state, input.timeoutMs, input.mode ?? 'set', now);
  return undefined;
}

export function moveDeadline(state: SandboxState, timeoutMs: number, mode: 'set' | 'extend', now: number): void {
  const endAt = now + timeoutMs;
  if (mode === 'extend' && endAt <= state.endAt) return;
  state.endAt = endAt;
  state.timeoutMs = timeoutMs;
  state.unpublished = true;
}

/** Timeouts of messages: milliseconds, whole, positive, at most ten years. @returns a sentence when not one. */
export function wrongTimeout(value: unknown): string | undefined {
  const fine = typeof value === 'number' && Number.isFinite(value) && value > 0 && value <= 315_360_000_000;
  return fine ? undefined : `timeoutMs must be a positive number of milliseconds, not ${JSON.stringify(value)}`;
}
