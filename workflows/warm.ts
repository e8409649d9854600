import type { Refusal } from './requests.js';
import { newState, type SandboxState } from './state.js';
import type { SandboxSpec } from './view.js';

/** What happens to a machine of the warm pool, pure and synchronous: of several that ask for it exactly one gets it. */

/**
 * A create takes it: from here on it is a sandbox that is being created, as `spec` says. Its deadline counts from now.
 * @returns `NotWarm` for all but the first, and `InvalidRequest` for a spec of another machine.
 */
export function requestAssign(state: SandboxState, spec: SandboxSpec, now: number): Refusal | undefined {
  if (!isWarm(state) || state.status !== 'running') return notWarm(state);
  const different = SAME.filter((field) => spec[field] !== state.spec[field]);
  if (different.length > 0 || spec.warm === true) {
    const what = different.join(', ') || 'warm';
    return { code: 'InvalidRequest', message: `warm machine ${state.spec.id} cannot become this sandbox: ${what}` };
  }
  const { generation, outcomes, lastOutcome, operations } = state;
  Object.assign(state, newState(spec, now), { generation, outcomes, lastOutcome, operations, takenOver: true });
  return undefined;
}

/** The pool gives it up. @returns `NotWarm` when a create was first. */
export function requestDiscard(state: SandboxState, why: string): Refusal | undefined {
  if (!isWarm(state)) return notWarm(state);
  state.desired = 'killed';
  state.reason = `discarded from the warm pool: ${why}`;
  return undefined;
}

/** What a machine is made of. */
const SAME = [
  'id',
  'hostId',
  'templateKey',
  'cpuCount',
  'memoryMiB',
  'diskMiB',
] as const satisfies (keyof SandboxSpec)[];

const isWarm = ({ spec, desired }: SandboxState): boolean => spec.warm === true && desired === 'running';

const notWarm = ({ spec }: SandboxState): Refusal => ({
  code: 'NotWarm',
  message: `sandbox ${spec.id} is no warm machine that can be had: it was taken, is not ready, or is being discarded`,
});
