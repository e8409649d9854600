import { expiresAt, type SandboxState } from './state.js';
import type { Keep } from './view.js';

/**
 * What to do now. `act`: run one activity. `wait`: nothing until `until` (always finite) or a message. `done`: ended.
 */
export type Step =
  | { type: 'act'; verb: 'create' }
  | { type: 'act'; verb: 'publish'; endAt: number }
  | { type: 'act'; verb: 'rotate'; tokenNonce: string }
  | { type: 'act'; verb: 'resume'; from: Keep }
  | { type: 'act'; verb: 'pause'; onlyIfIdle: boolean; keep: Keep }
  | { type: 'act'; verb: 'destroy'; why: string }
  | { type: 'wait'; until: number; why: string }
  | { type: 'done' };

/** A warm machine has no deadline; a wait has an end all the same. */
const WARM_WAIT_MS = 24 * 3_600_000;

/** The one decision of the lifecycle, pure. */
export function nextStep(state: SandboxState, now: number): Step {
  if (state.status === 'killed' || state.status === 'failed') return { type: 'done' };
  if (state.desired === 'killed') return destroy(state, now);
  switch (state.status) {
    case 'creating':
      return { type: 'act', verb: 'create' };
    case 'killing':
      return destroy(state, now);
    case 'resuming':
      return notBefore(state, now, resume(state));
    case 'pausing':
      return notBefore(state, now, pauseAgain(state));
    case 'running':
      return whileRunning(state, now);
    case 'paused':
      return whilePaused(state, now);
    default:
      return unreachable(state.status);
  }
}

function destroy(state: SandboxState, now: number): Step {
  const { destroyNotBefore = 0 } = state;
  if (now < destroyNotBefore) return { type: 'wait', until: destroyNotBefore, why: 'trying again to remove it' };
  return { type: 'act', verb: 'destroy', why: state.reason };
}

/** In between, with an outcome that is not known: once more, after a while. */
function notBefore(state: SandboxState, now: number, step: Step): Step {
  if (now >= state.backOffUntil) return step;
  return { type: 'wait', until: state.backOffUntil, why: 'trying again' };
}

/** The gate may have been open meanwhile, while its host was away: only somebody's own wish cuts requests. */
const pauseAgain = ({ pausesIfIdle, pauseAsked, pauseKeeps }: SandboxState): Step => ({
  ...{ type: 'act', verb: 'pause', keep: pauseKeeps },
  onlyIfIdle: pausesIfIdle === true && !pauseAsked,
});

function whileRunning(state: SandboxState, now: number): Step {
  if (state.spec.warm === true)
    return { type: 'wait', until: now + WARM_WAIT_MS, why: 'warm: until a create takes it' };
  const rotation = dueRotation(state, now);
  if (rotation !== undefined) return rotation;
  if (state.desired === 'paused') return { type: 'act', verb: 'pause', onlyIfIdle: false, keep: state.pauseKeeps };
  if (now >= state.endAt) {
    if (state.onTimeout === 'kill') return { type: 'act', verb: 'destroy', why: 'its timeout has passed' };
    if (now >= state.backOffUntil) {
      return { type: 'act', verb: 'pause', onlyIfIdle: true, keep: state.spec.autoPauseKeeps ?? 'memory' };
    }
  }
  if (state.unpublished && now >= state.publishNotBefore) return { type: 'act', verb: 'publish', endAt: state.endAt };
  const deadline = Math.max(state.endAt, state.onTimeout === 'pause' ? state.backOffUntil : 0);
  const why = state.onTimeout === 'kill' ? 'timeout: kill' : 'timeout: pause if idle';
  return untilDeadline(state, deadline, why);
}

function whilePaused(state: SandboxState, now: number): Step {
  const rotation = dueRotation(state, now);
  if (rotation !== undefined) return rotation;
  if (state.desired === 'running') return resume(state);
  if (now >= expiresAt(state)) return { type: 'act', verb: 'destroy', why: 'it was paused for as long as it is kept' };
  if (state.unpublished && now >= state.publishNotBefore) return { type: 'act', verb: 'publish', endAt: state.endAt };
  return untilDeadline(state, expiresAt(state), 'expiry of the paused sandbox');
}

/** Without a memory there is nothing to start from but the disk. */
const resume = (state: SandboxState): Step => ({
  type: 'act',
  verb: 'resume',
  from: state.image?.kind === 'disk' ? 'disk' : state.resumeFrom,
});

/** Before anything else that has time: a token may be in wrong hands. */
function dueRotation({ rotateTo, rotateNotBefore = 0 }: SandboxState, now: number): Step | undefined {
  if (rotateTo === undefined || now < rotateNotBefore) return undefined;
  return { type: 'act', verb: 'rotate', tokenNonce: rotateTo };
}

function untilDeadline(state: SandboxState, deadline: number, why: string): Step {
  const { rotateTo, rotateNotBefore = 0 } = state;
  if (rotateTo !== undefined && rotateNotBefore < deadline) deadline = rotateNotBefore;
  if (state.unpublished && state.publishNotBefore < deadline) {
    return { type: 'wait', until: state.publishNotBefore, why: 'telling the host again' };
  }
  return { type: 'wait', until: deadline, why };
}

function unreachable(status: never): never {
  throw new Error(`unknown status ${String(status)}`);
}
