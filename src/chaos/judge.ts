import type { Answer } from './guest.js';
import { faultName, type Case } from './plan.js';

export type Ending = 'running' | 'paused' | 'ended';

const ENDS: ReadonlySet<string> = new Set(['kill', 'kill-paused', 'timeout-kill', 'expiry', 'terminate']);
const acknowledged = ({ status }: Answer): boolean => status >= 200 && status < 300;

/**
 * Whether a step may have ended so, given what its caller was told; pure.
 * @returns what promise was broken, or undefined.
 */
export function judge({ step, fault }: Case, answer: Answer, ending: Ending): string | undefined {
  const told = `${step} under "${faultName(fault)}" was answered ${answer.status}, and the sandbox is ${ending}`;
  if (ENDS.has(step)) return ending === 'ended' ? undefined : told;
  // What has crashed is never acknowledged as paused.
  if (fault.kind === 'guest-panic') {
    return ending === 'ended' && !(step === 'pause' && acknowledged(answer)) ? undefined : told;
  }
  // What was in memory went with the power; what was acknowledged as paused was not in memory.
  if (fault.kind === 'power-loss') {
    const expected = step === 'pause' || step === 'auto-pause' || step === 'rotate-paused' ? 'paused' : 'ended';
    return acknowledged(answer) && ending === expected ? undefined : told;
  }
  // Only the death of its own machine may end a sandbox, or a create of which nobody was told that it worked.
  if (ending === 'ended') {
    if (fault.kind === 'kill-qemu' && !((step === 'pause' || step === 'shut-down') && acknowledged(answer)))
      return undefined;
    return (step === 'create' || step === 'assign') && !acknowledged(answer) ? undefined : told;
  }
  // It changes tokens, and nothing else.
  if (step === 'rotate' || step === 'rotate-paused')
    return ending === (step === 'rotate' ? 'running' : 'paused') ? undefined : told;
  if (fault.kind === 'damage') return ending === 'paused' && answer.status === 500 ? undefined : told;
  if (step === 'auto-pause' || step === 'seal-ahead') return ending === 'paused' ? undefined : told;
  if (!acknowledged(answer)) return undefined;
  const promised = step === 'pause' || step === 'shut-down' ? 'paused' : 'running';
  return ending === promised ? undefined : told;
}
