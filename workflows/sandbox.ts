import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  patched,
  workflowInfo,
} from '@temporalio/workflow';
import { handleMessages } from './handlers.js';
import { nextStep } from './next-step.js';
import { perform } from './perform.js';
import { requestKill } from './requests.js';
import { show } from './show.js';
import { hasEnded, newState, viewOf, type SandboxState } from './state.js';
import type { SandboxSpec, SandboxView } from './view.js';

export interface SandboxInput {
  spec: SandboxSpec;
  /** Carried through continue-as-new; earlier versions had the spec in it, too. */
  state?: Omit<SandboxState, 'spec'> & { spec?: SandboxSpec };
}

/** A run that could not continue as new by the time that it is so many times as long as when it should have takes no more requests. */
const OVERDUE = 2;

/**
 * One sandbox, for its whole life. Messages edit the state; this loop drives the machine towards what was asked for,
 * one activity at a time, and sleeps until the next deadline otherwise. Cancelling the workflow means kill.
 */
export async function sandbox(input: SandboxInput): Promise<SandboxView> {
  // A run that an older version continued as new may lack what has been added to the state since.
  const state: SandboxState = { ...newState(input.spec, Date.now()), ...input.state };
  let suggestedAt: number | undefined;
  const mayContinue = (): boolean => {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if (continueAsNewSuggested) suggestedAt ??= historyLength;
    return continueAsNewSuggested;
  };
  handleMessages(state, () => suggestedAt !== undefined && workflowInfo().historyLength > OVERDUE * suggestedAt);
  CancellationScope.current().cancelRequested.catch((error: unknown) => {
    if (isCancellation(error)) requestKill(state, 'its workflow was cancelled');
  });
  return CancellationScope.nonCancellable(async () => {
    for (;;) {
      const step = nextStep(state, Date.now());
      if (step.type === 'done') break;
      if (step.type === 'act') {
        await perform(state, step);
        show(state);
        if (mayContinue() && !hasEnded(state) && allHandlersFinished() && patched('2026-11-continues-between-steps'))
          await continued(state);
        continue;
      }
      const due = (): boolean => {
        const next = nextStep(state, Date.now());
        return next.type !== 'wait' || next.until < step.until;
      };
      await condition(() => due() || mayContinue(), Math.max(1, step.until - Date.now()), { summary: step.why });
      if (due() || !mayContinue()) continue;
      // Only a destroy that failed is waited for then: its kills may wait for as long, and are asked again in the next run.
      const isBeingKilled = state.desired === 'killed';
      if (!isBeingKilled && !allHandlersFinished()) await handled(due, step.until);
      if (!due() && (isBeingKilled || allHandlersFinished())) await continued(state);
    }
    await condition(allHandlersFinished);
    return viewOf(state);
  });
}

/** The spec may be large: the next run is given it once. */
function continued({ spec, ...state }: SandboxState): Promise<never> {
  return continueAsNew<typeof sandbox>({ spec, state });
}

/** An update that needs the loop must not wait for ever on a workflow that waits for it: no longer than the loop would. */
async function handled(due: () => boolean, until: number): Promise<void> {
  const isOver = (): boolean => due() || allHandlersFinished();
  if (patched('handlers-are-waited-for-until')) await condition(isOver, Math.max(1, until - Date.now()));
  else await condition(isOver);
}
