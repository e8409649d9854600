import type { ErrorCode } from './errors.js';
import type { PauseVmResult, VmFacts } from './host-activities.js';
import type { Step } from './next-step.js';
import type { SandboxState } from './state.js';
import type { SavedImage } from './view.js';

export type ActStep = Extract<Step, { type: 'act' }>;

/** What an activity came back with; `facts`, where it knows better than the workflow what is true on the host. */
export type StepResult =
  { ok: true; value: PauseVmResult | null } | { ok: false; code: ErrorCode; message: string; facts: VmFacts | null };

const FIRST_BACK_OFF_MS = 30_000;
const LONGEST_BACK_OFF_MS = 600_000;
const PUBLISH_AGAIN_MS = 10_000;
const FIRST_TRY_AGAIN_MS = 5_000;
const LONGEST_DESTROY_BACK_OFF_MS = 60_000;

/** Before the activity: the in-between status, and a new generation for whatever changes the machine. */
export function beginStep(state: SandboxState, step: ActStep, now: number): void {
  if (step.verb === 'publish' || step.verb === 'rotate') return;
  state.generation += 1;
  switch (step.verb) {
    case 'create':
      state.reason = 'being created';
      return;
    case 'pause':
      if (step.onlyIfIdle) {
        // Repeated, it leaves alone what a connect has asked for meanwhile.
        if (state.status === 'running') state.desired = 'paused';
      } else state.pauseAsked = false;
      state.pausesIfIdle = step.onlyIfIdle;
      state.status = 'pausing';
      state.pausedAt = now;
      state.pauseKeeps = step.keep;
      state.reason =
        (step.onlyIfIdle ? 'its timeout has passed: being paused if it is idle' : 'being paused as asked') +
        (step.keep === 'disk' ? '; only its disk is kept' : '');
      return;
    case 'resume':
      state.status = 'resuming';
      state.endAt = now + state.resumeTimeoutMs;
      state.resumeFrom = step.from;
      state.reason = step.from === 'disk' ? 'being booted from its disk' : 'being resumed';
      return;
    case 'destroy':
      state.status = 'killing';
      state.desired = 'killed';
      state.reason = step.why;
      return;
    default:
      unreachable(step);
  }
}

/** After the activity. Settles the status, or says what failed and where that leaves the sandbox. */
export function applyOutcome(state: SandboxState, step: ActStep, result: StepResult, now: number): void {
  state.outcomes += 1;
  const error = result.ok
    ? null
    : { code: isUnknown(step, result) ? 'OutcomeUnknown' : result.code, message: result.message };
  state.lastOutcome = { number: state.outcomes, verb: step.verb, error };
  if (error !== null) state.lastError = { ...error, at: now };
  if (result.ok) succeed(state, step, result.value, now);
  else if (canEnd(step) && (result.code === 'Lost' || result.facts?.lost !== undefined))
    end(state, `lost: ${result.message}`);
  else fail(state, step, result, now);
}

/** What is lost is destroyed; a destroy itself, a publish or a rotation that says so only fails. */
const canEnd = ({ verb }: ActStep): boolean => verb !== 'publish' && verb !== 'rotate' && verb !== 'destroy';

/**
 * After a destroy that failed for good: it is repeated until nothing is left, but not at once. A host that has seen a
 * higher generation (Temporal was restored from a backup) would refuse every lower one.
 */
export function backOffDestroy(state: SandboxState, facts: VmFacts | null, now: number): void {
  const failures = (state.destroyFailures ?? 0) + 1;
  state.destroyFailures = failures;
  state.destroyNotBefore = now + Math.min(LONGEST_DESTROY_BACK_OFF_MS, FIRST_TRY_AGAIN_MS * 2 ** (failures - 1));
  state.generation = Math.max(state.generation, facts?.generation ?? 0);
}

function succeed(state: SandboxState, step: ActStep, value: PauseVmResult | null, now: number): void {
  switch (step.verb) {
    case 'create':
      return becomeRunning(state, 'created');
    case 'resume':
      state.image = null;
      delete state.damaged;
      state.pauseFailures = 0;
      return becomeRunning(state, step.from === 'disk' ? 'booted from its disk' : 'resumed');
    case 'publish':
      // The deadline may have moved again meanwhile.
      state.unpublished = state.endAt !== step.endAt;
      return;
    case 'rotate':
      state.spec = { ...state.spec, tokenNonce: step.tokenNonce };
      delete state.rotateFailures;
      // Another may have been asked for meanwhile.
      if (state.rotateTo === step.tokenNonce) delete state.rotateTo;
      return;
    case 'destroy':
      state.status = state.endsAs;
      return;
    case 'pause':
      if (value?.outcome === 'busy') {
        becomeRunning(state, 'active within its timeout');
        if (state.desired === 'paused' && !state.pauseAsked) state.desired = 'running';
        state.endAt = now + Math.max(1, state.timeoutMs - value.idleForMs);
        state.unpublished = true;
        return;
      }
      state.status = 'paused';
      state.image = value?.outcome === 'paused' ? value.image : state.image;
      state.pauseFailures = 0;
      state.reason =
        (step.onlyIfIdle ? 'paused: idle for its timeout' : 'paused as asked') +
        (state.image?.kind === 'disk' ? '; only its disk is kept' : '');
      return;
    default:
      unreachable(step);
  }
}

function fail(state: SandboxState, step: ActStep, result: Extract<StepResult, { ok: false }>, now: number): void {
  if (isUnknown(step, result)) return tryAgain(state, step, result.message, now);
  switch (step.verb) {
    case 'create':
      return end(state, `create failed: ${result.message}`);
    case 'publish':
      state.publishNotBefore = now + PUBLISH_AGAIN_MS;
      return;
    case 'rotate':
      state.rotateFailures = (state.rotateFailures ?? 0) + 1;
      state.rotateNotBefore = now + Math.min(LONGEST_BACK_OFF_MS, FIRST_TRY_AGAIN_MS * 2 ** (state.rotateFailures - 1));
      return;
    case 'destroy':
      return;
    case 'pause':
      becomeRunning(state, `a pause failed: ${result.message}`);
      state.desired = state.desired === 'killed' ? 'killed' : 'running';
      state.pauseAsked = false;
      state.pauseFailures += 1;
      state.backOffUntil = now + Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (state.pauseFailures - 1));
      return;
    case 'resume':
      state.status = 'paused';
      state.desired = state.desired === 'killed' ? 'killed' : 'paused';
      state.image = newer(state.image, result.facts?.image);
      state.reason = `paused: a resume failed: ${result.message}`;
      if (result.code === 'ImageDamaged') markDamaged(state, result.message);
      return;
    default:
      unreachable(step);
  }
}

/**
 * Neither done nor undone, as far as anyone knows (host or libvirt away, attempts timed out): what is true on the host
 * will show. The status stays in between, and the step is repeated: the host finds its work done, or finishes it.
 */
const isUnknown = (step: ActStep, result: StepResult): boolean =>
  (step.verb === 'pause' || step.verb === 'resume') &&
  !result.ok &&
  result.facts === null &&
  (result.code === 'HostFailure' || result.code === 'Unavailable');

function tryAgain(state: SandboxState, step: ActStep, message: string, now: number): void {
  state.pauseFailures += 1;
  state.backOffUntil = now + Math.min(LONGEST_BACK_OFF_MS, FIRST_TRY_AGAIN_MS * 2 ** (state.pauseFailures - 1));
  state.reason = `the outcome of a ${step.verb} is not known yet, it is tried again: ${message}`;
}

/**
 * What a host claims is taken only if it is newer, or the same with its memory given up: an older image that was put
 * back must not become the one to resume.
 */
function newer(known: SavedImage | null, claimed: SavedImage | undefined): SavedImage | null {
  if (claimed === undefined || known === null) return claimed ?? known;
  const givenUp = claimed.generation === known.generation && claimed.kind === 'disk';
  return claimed.generation > known.generation || givenUp ? claimed : known;
}

function markDamaged(state: SandboxState, message: string): void {
  state.damaged = message;
  state.unpublished = true;
  state.reason = `paused, and its image is damaged: ${message}. It is kept until its expiry; a connect looks at it again`;
}

function becomeRunning(state: SandboxState, reason: string): void {
  state.status = 'running';
  state.pausedAt = null;
  state.reason = reason;
}

/** It cannot go on: what is left is cleared away, and the workflow ends as failed. */
function end(state: SandboxState, reason: string): void {
  state.desired = 'killed';
  state.endsAs = 'failed';
  state.reason = reason;
}

function unreachable(step: unknown): never {
  throw new Error(`unknown step ${JSON.stringify(step)}`);
}
