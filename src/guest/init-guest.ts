import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentRefusedError, init, type GuestAddress, type InitAnswer } from './client.js';
import { within } from '../within.js';

export interface InitGuest {
  accessToken: string;
  envVars: Record<string, string>;
  defaultUser: string;
  /** The agent confirms that the kernel reseeded its random generator after this restore, or fails. */
  requireReseed: boolean;
  machineId?: string;
}

export const TRY_EVERY_MS = 25;
export const TRY_TIMEOUT_MS = 10_000;
const NOT_YET = 503;
const UNAUTHORIZED = 401;

/**
 * Initialises a guest that was just let run: repeats until its agent can be reached and its kernel has reseeded (503
 * until then), with the time of each attempt as the guest's clock. Any other refusal ends it at once.
 * @param knownTokens what the agent may have been told before; that of `body` is what it knows from then on
 * @throws Error with the agent's words, or `signal`'s reason.
 */
export async function initGuest(
  address: GuestAddress,
  body: InitGuest,
  signal: AbortSignal,
  knownTokens: readonly string[] = [],
): Promise<InitAnswer> {
  const wake = randomUUID();
  const tokens = [...new Set([...knownTokens, body.accessToken])];
  let refusal: AgentRefusedError | undefined;
  for (;;) {
    try {
      return await init(
        address,
        tokens[0] ?? body.accessToken,
        { ...body, wake, timestamp: new Date().toISOString() },
        within(TRY_TIMEOUT_MS, signal),
      );
    } catch (error) {
      if (error instanceof AgentRefusedError && error.status === UNAUTHORIZED && tokens.length > 1) {
        tokens.shift();
        continue;
      }
      if (error instanceof AgentRefusedError) refusal = error;
      if (refusal !== undefined && refusal.status !== NOT_YET) throw refusal;
      if (signal.aborted) {
        throw refusal ?? new Error(`the agent did not answer (${reasonOf(error)})`, { cause: error });
      }
    }
    await delay(TRY_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

const reasonOf = (error: unknown): string => {
  const { cause } = error as { cause?: { code?: string } };
  return cause?.code ?? (error instanceof Error ? error.message : String(error));
};
