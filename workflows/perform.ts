import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  patched,
  TimeoutFailure,
} from '@temporalio/workflow';
import { hostActivities } from './activity-options.js';
import { applyOutcome, backOffDestroy, beginStep, type ActStep, type StepResult } from './apply-outcome.js';
import { isErrorCode } from './errors.js';
import type { PauseVmResult, VmFacts } from './host-activities.js';
import { changeOf, type SandboxState } from './state.js';
import type { SandboxChange } from './view.js';

/** Runs the one activity of a step and applies what came of it. A kill pre-empts: the activity is left behind. */
export async function perform(state: SandboxState, step: ActStep): Promise<void> {
  beginStep(state, step, Date.now());
  let result: StepResult | undefined;
  const scope = new CancellationScope({ cancellable: true });
  const running = scope
    .run(() => runActivity(state, step))
    .then(
      (value): StepResult => ({ ok: true, value }),
      (error: unknown) => resultOf(error),
    )
    .then((settled) => {
      result = settled;
    });
  if (step.verb === 'destroy') await running;
  else await condition(() => result !== undefined || state.desired === 'killed');
  if (result === undefined) {
    scope.cancel();
    return;
  }
  applyOutcome(state, step, result, Date.now());
  // Earlier versions repeated it at once.
  if (step.verb === 'destroy' && !result.ok && patched('2026-11-destroy-backs-off'))
    backOffDestroy(state, result.facts, Date.now());
}

async function runActivity(state: SandboxState, step: ActStep): Promise<PauseVmResult | null> {
  const { spec, generation } = state;
  const whose = { id: spec.id, tenant: spec.tenant };
  const activities = hostActivities(spec.hostId, `${step.verb}, generation ${generation}`);
  switch (step.verb) {
    case 'create': {
      const input = { spec, generation, view: settled(state, 'running') };
      await (state.takenOver === true ? activities.assignVm(input) : activities.createVm(input));
      return null;
    }
    case 'resume':
      if (state.image === null)
        throw ApplicationFailure.create({ type: 'Lost', message: `sandbox ${spec.id} has no image` });
      if (step.from === 'disk' || state.image.kind === 'disk')
        await activities.bootVm({ ...whose, generation, image: state.image, view: settled(state, 'running') });
      else await activities.resumeVm({ ...whose, generation, image: state.image, view: settled(state, 'running') });
      return null;
    case 'pause':
      return activities[step.keep === 'disk' ? 'shutDownVm' : 'pauseVm']({
        ...whose,
        generation,
        view: settled(state, 'paused'),
        ...(step.onlyIfIdle ? { onlyIfIdleForMs: state.timeoutMs } : {}),
      });
    case 'destroy':
      await activities.destroyVm({ id: spec.id, generation });
      return null;
    case 'rotate':
      await activities.rotateTokens({ id: spec.id, tenant: spec.tenant, generation, tokenNonce: step.tokenNonce });
      return null;
    case 'publish':
      await activities.publishView({ ...whose, view: changeOf(state) });
      return null;
  }
}

/** The view as it will be once the step has settled: the host writes it into its index before it answers. */
function settled(state: SandboxState, status: 'running' | 'paused'): SandboxChange {
  const next: SandboxState = { ...state, status, lastError: null };
  if (status === 'running') Object.assign(next, { pausedAt: null, image: null, damaged: undefined });
  next.reason = status === 'running' ? 'running' : 'paused';
  return changeOf(next);
}

function resultOf(error: unknown): StepResult {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure && isErrorCode(cause.type)) {
    return {
      ok: false,
      code: cause.type,
      message: cause.message,
      facts: (cause.details?.[0] ?? null) as VmFacts | null,
    };
  }
  if (cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_START') {
    return { ok: false, code: 'Unavailable', message: 'its host does not answer', facts: null };
  }
  const message = isCancellation(error) ? 'cancelled' : cause instanceof Error ? cause.message : String(cause);
  return { ok: false, code: 'HostFailure', message, facts: null };
}
