import { ApplicationFailure, condition, currentUpdateInfo } from '@temporalio/workflow';
import type { ErrorCode } from './errors.js';
import type { AssignInput, PauseInput, ResumeInput, ResumeResult, RotateInput, SetTimeoutInput } from './messages.js';
import {
  moveDeadline,
  requestKill,
  requestPause,
  requestResume,
  requestRotate,
  requestTimeout,
  type Refusal,
} from './requests.js';
import { changeOf, hasEnded, isSettled, REMEMBERED_OPERATIONS, type SandboxState, type Verb } from './state.js';
import { wholeView, type SandboxChange, type SandboxView } from './view.js';
import { requestAssign, requestDiscard } from './warm.js';

/** The updates: ask, wait until settled, answer. A repeated update id gets the answer that it got the first time. */

export const ready = async (state: SandboxState): Promise<SandboxView> =>
  wholeView(state.spec, await remembered(state, () => created(state, 'NotFound')));

/** `Superseded` tells a kill that came later from a machine that was not to be had. */
export const assign = (state: SandboxState, { spec }: AssignInput): Promise<SandboxChange> =>
  remembered(state, async () => {
    refuse(requestAssign(state, spec, Date.now()));
    return created(state, 'Superseded');
  });

export const discard = (state: SandboxState, why: string): Promise<SandboxChange> =>
  remembered(state, async () => {
    refuse(requestDiscard(state, why));
    await condition(() => hasEnded(state));
    return changeOf(state);
  });

async function created(state: SandboxState, ifKilled: ErrorCode): Promise<SandboxChange> {
  await condition(() => state.status !== 'creating' || state.endsAs === 'failed' || state.desired === 'killed');
  const error = state.lastOutcome?.verb === 'create' ? state.lastOutcome.error : null;
  if (error !== null) refuse(error);
  if (state.desired === 'killed')
    refuse({ code: ifKilled, message: `sandbox ${state.spec.id} was killed while it was created` });
  return changeOf(state);
}

export const pause = (state: SandboxState, input: PauseInput): Promise<SandboxChange> =>
  remembered(state, async () => {
    const since = state.outcomes;
    refuse(requestPause(state, input));
    await pausedSince(state, since);
    return changeOf(state);
  });

/** Until the pause that was asked for is done; refuses when it does not come to that. */
async function pausedSince(state: SandboxState, since: number): Promise<void> {
  let paused = false;
  await condition(() => {
    paused ||= state.status === 'paused';
    return paused || state.desired !== 'paused' || hasEnded(state) || failed(state, 'pause', since);
  });
  if (failed(state, 'pause', since)) refuse(state.lastOutcome?.error ?? undefined);
  if (state.desired === 'killed' || hasEnded(state)) refuse(ended(state));
  if (!paused && state.desired === 'running') {
    refuse({
      code: 'Superseded',
      message: `the pause of sandbox ${state.spec.id} was overtaken by a connect; it runs`,
    });
  }
}

export const resume = (state: SandboxState, input: ResumeInput): Promise<ResumeResult> =>
  remembered(state, async () => {
    if (input.mode === 'traffic') await condition(() => !isBeingPaused(state));
    const since = state.outcomes;
    const wasRunning = state.status === 'running' && state.desired === 'running';
    refuse(requestResume(state, input));
    let resumed = false;
    if (!wasRunning) {
      await condition(() => {
        resumed ||= state.outcomes > since && state.lastOutcome?.verb === 'resume' && state.lastOutcome.error === null;
        return (
          (state.status === 'running' && (resumed || state.desired === 'running')) ||
          state.desired !== 'running' ||
          hasEnded(state) ||
          failed(state, 'resume', since)
        );
      });
      if (!resumed && failed(state, 'resume', since)) refuse(state.lastOutcome?.error ?? undefined);
      if (state.desired === 'killed' || hasEnded(state)) refuse(ended(state));
      if (!resumed && state.desired === 'paused') {
        refuse({ code: 'Superseded', message: `the connect of sandbox ${state.spec.id} was overtaken by a pause` });
      }
    }
    if (!resumed && input.mode !== 'traffic') {
      moveDeadline(state, input.timeoutMs ?? state.timeoutMs, 'extend', Date.now());
      await published(state);
    }
    return { view: changeOf(state), resumed };
  });

export const kill = (state: SandboxState): Promise<SandboxChange> =>
  remembered(state, async () => {
    requestKill(state, 'killed as asked');
    await condition(() => hasEnded(state));
    return changeOf(state);
  });

export const setTimeoutOf = (state: SandboxState, input: SetTimeoutInput): Promise<SandboxChange> =>
  remembered(state, async () => {
    // Lists may call it paused already: whether there is a deadline to move shows when the pause has ended.
    await condition(() => !isBeingPaused(state));
    const since = state.outcomes;
    refuse(requestTimeout(state, input, Date.now()));
    if (state.desired === 'killed') await condition(() => hasEnded(state));
    else if (state.desired === 'paused') await pausedSince(state, since);
    else await published(state);
    return changeOf(state);
  });

export const rotateTokens = (state: SandboxState, input: RotateInput): Promise<SandboxChange> =>
  remembered(state, async () => {
    const since = state.outcomes;
    refuse(requestRotate(state, input));
    const isOver = (): boolean => state.rotateTo === undefined || state.desired === 'killed' || hasEnded(state);
    await condition(() => isOver() || failed(state, 'rotate', since));
    if (state.desired === 'killed' || hasEnded(state)) refuse(ended(state));
    if (state.rotateTo !== undefined) {
      const why = state.lastOutcome?.error?.message ?? '';
      const message = `the tokens of sandbox ${state.spec.id} are not rotated yet, and it is tried again: ${why}`;
      refuse({ code: 'OutcomeUnknown', message });
    }
    return changeOf(state);
  });

/** Until the host's index, which lists are made from, has the moved deadline; or does not get it now and will be told later. */
async function published(state: SandboxState): Promise<void> {
  const since = state.outcomes;
  await condition(() => !state.unpublished || !isSettled(state) || failed(state, 'publish', since));
}

const isBeingPaused = (state: SandboxState): boolean =>
  state.status === 'pausing' || (state.status !== 'paused' && state.desired === 'paused');

const failed = (state: SandboxState, verb: Verb, since: number): boolean =>
  state.outcomes > since && state.lastOutcome?.verb === verb && state.lastOutcome.error !== null;

const ended = (state: SandboxState): Refusal =>
  state.lastError !== null && state.endsAs === 'failed'
    ? { code: 'Lost', message: state.reason }
    : { code: 'NotFound', message: `sandbox ${state.spec.id} has been killed` };

function refuse(refusal: { code: ErrorCode | string; message: string } | undefined): void {
  if (refusal === undefined) return;
  throw ApplicationFailure.create({ type: refusal.code, message: refusal.message, nonRetryable: true });
}

async function remembered<T>(state: SandboxState, work: () => Promise<T>): Promise<T> {
  const id = currentUpdateInfo()?.id;
  const before = state.operations.find((operation) => operation.id === id);
  if (before !== undefined) {
    refuse(before.error ?? undefined);
    return before.answer as T;
  }
  const remember = (answer: unknown, error: { code: string; message: string } | null): void => {
    if (id === undefined) return;
    state.operations = [...state.operations, { id, answer, error }].slice(-REMEMBERED_OPERATIONS);
  };
  try {
    const answer = await work();
    remember(answer, null);
    return answer;
  } catch (error) {
    if (error instanceof ApplicationFailure)
      remember(null, { code: error.type ?? 'HostFailure', message: error.message });
    throw error;
  }
}
