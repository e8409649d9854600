import type { Answer } from './guest.js';

export interface CaseOutcome {
  injected: boolean;
  answer: string;
  outcome: string;
  violation?: string;
}

/** A fault's traces are gone after this; the invariants hold from then on. */
export const HOLDS_WITHIN_MS = 30_000;

/** `wrong`: undefined where nothing is. */
export function outcome(injected: boolean, answer: Answer, ending: string, wrong: (string | undefined)[]): CaseOutcome {
  const violation = wrong.filter((text) => text !== undefined).join('; ');
  return { injected, answer: String(answer.status), outcome: ending, ...(violation === '' ? {} : { violation }) };
}
