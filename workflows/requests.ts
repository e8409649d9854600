import { hasEnded, type SandboxState } from './state.js';
import type { ErrorCode } from './errors.js';
import type { PauseInput, ResumeInput, RotateInput, SetTimeoutInput } from './messages.js';
import type { Keep } from './view.js';

/**
 * What messages do to the state, pure and synchronous: they edit `desired` and deadlines, and nothing else.
 * @returns a refusal, or undefined when taken.
 */
export interface Refusal {
  code: ErrorCode;
  message: string;
}

function gone(state: SandboxState): Refusal | undefined {
  if (hasEnded(state) || state.desired === 'killed') {
    return { code: 'NotFound', message: `sandbox ${state.spec.id} has been killed` };
  }
  if (state.spec.warm !== true) return undefined;
  return { code: 'NotFound', message: `sandbox ${state.spec.id} is a warm machine, and nobody's yet` };
}

export function requestPause(state: SandboxState, input: PauseInput = {}): Refusal | undefined {
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  if (state.status === 'paused' && state.desired === 'paused') {
    return { code: 'AlreadyPaused', message: `sandbox ${state.spec.id} is already paused` };
  }
  const keep: Keep = input.memory === false ? 'disk' : 'memory';
  if (state.status === 'pausing') {
    if (keep === 'memory' && state.pauseKeeps === 'disk') return shuttingDown(state);
  } else {
    // Of several requests before the pause begins, the one that keeps more counts.
    const wanted = state.desired === 'paused' && state.pauseAsked ? state.pauseKeeps : undefined;
    state.pauseKeeps = wanted === 'memory' ? 'memory' : keep;
  }
  state.desired = 'paused';
  state.pauseAsked = true;
  state.backOffUntil = 0;
  return undefined;
}

const shuttingDown = (state: SandboxState): Refusal => ({
  code: 'Superseded',
  message: `sandbox ${state.spec.id} is being shut down already: its disk is kept, its memory cannot be any more`,
});

export function requestResume(state: SandboxState, input: ResumeInput): Refusal | undefined {
  if (state.desired === 'killed' && !hasEnded(state)) {
    return { code: 'BeingKilled', message: `sandbox ${state.spec.id} is being killed` };
  }
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  if (state.status === 'running' && state.desired === 'running' && input.mode === 'resume') {
    return { code: 'AlreadyRunning', message: `sandbox ${state.spec.id} is already running` };
  }
  if (input.mode === 'traffic' && state.status === 'paused' && state.desired === 'paused' && bootsOnly(state)) {
    const message = `sandbox ${state.spec.id} keeps its disk alone: traffic does not boot it, a connect does`;
    return { code: 'NotFound', message };
  }
  if (state.status !== 'resuming') {
    const wanted = state.desired === 'running' && state.status !== 'running' ? state.resumeFrom : undefined;
    state.resumeFrom = wanted === 'memory' || input.memory !== false ? 'memory' : 'disk';
  }
  state.desired = 'running';
  state.pauseAsked = false;
  if (state.status !== 'running') state.backOffUntil = 0;
  const asked = input.timeoutMs ?? state.timeoutMs;
  state.resumeTimeoutMs = input.mode === 'traffic' ? Math.max(asked, state.timeoutMs) : asked;
  if (input.onTimeout !== undefined) state.onTimeout = input.onTimeout;
  return undefined;
}

/** A boot is not what a visitor may cause: it takes long, and what ran before does not run after it. */
const bootsOnly = (state: SandboxState): boolean => state.image?.kind === 'disk';

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
  if (input.timeoutMs === 0 && input.mode !== 'extend') timeOut(state);
  else moveDeadline(state, input.timeoutMs, input.mode ?? 'set', now);
  return undefined;
}

/** A timeout of 0: what it does at its end is wanted now, busy or not. The sandbox keeps the timeout that it had for its next start. */
function timeOut(state: SandboxState): void {
  if (state.onTimeout === 'kill') return requestKill(state, 'its timeout was set to 0');
  requestPause(state, { memory: state.spec.autoPauseKeeps !== 'disk' });
}

/** Of several before it is done the last one counts for all. */
export function requestRotate(state: SandboxState, { tokenNonce }: RotateInput): Refusal | undefined {
  const refusal = gone(state);
  if (refusal !== undefined) return refusal;
  state.rotateTo = tokenNonce;
  state.rotateNotBefore = 0;
  return undefined;
}

export function moveDeadline(state: SandboxState, timeoutMs: number, mode: 'set' | 'extend', now: number): void {
  const endAt = now + timeoutMs;
  if (mode === 'extend' && endAt <= state.endAt) return;
  state.endAt = endAt;
  state.timeoutMs = timeoutMs;
  state.unpublished = true;
}

/** Timeouts of messages: milliseconds, positive (or 0, where that is allowed), at most ten years. @returns a sentence when not one. */
export function wrongTimeout(value: unknown, zeroIsFine = false): string | undefined {
  const isLength = typeof value === 'number' && Number.isFinite(value) && value > 0 && value <= 315_360_000_000;
  if (isLength || (zeroIsFine && value === 0)) return undefined;
  const wanted = zeroIsFine ? 'a number of milliseconds, not negative' : 'a positive number of milliseconds';
  return `timeoutMs must be ${wanted}, but is ${JSON.stringify(value)}`;
}
