import { createHash, timingSafeEqual } from 'node:crypto';
import type { AgentState } from './agent-state.js';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares in a time that says nothing about either. */
export const equalSecrets = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));

/** @returns why `given` does not open the agent, or undefined when it does. */
export function refusal(state: AgentState, given: string | undefined): string | undefined {
  if (state.accessToken === undefined) return 'the agent was not initialised';
  if (given === undefined || given === '') return 'the access token is missing';
  return equalSecrets(given, state.accessToken) ? undefined : 'the access token is wrong';
}
