import { setTimeout as delay } from 'node:timers/promises';
import { health, type GuestAddress } from './client.js';
import { within } from '../within.js';

const TRY_EVERY_MS = 200;
/**
 * A try without an answer for so long is no longer waited for alone: what is sent to a guest that has no network yet stays
 * unanswered after it has one.
 */
const NEXT_TRY_AFTER_MS = 1_000;
/**
 * Danger: longer than passt waits for a guest to take a connection (10 s). From the moment at which a connection is closed
 * here that the guest has not taken yet, passt uses a whole CPU until that time is over.
 */
const TRY_MS = 30_000;
/** Rarer: many guests may be waited for at once, and each check asks libvirt. */
const CHECK_EVERY_MS = 1_000;

/**
 * Resolves once the agent of a booting guest answers.
 * @param check throws when waiting has become pointless
 * @param ms how long it is waited for
 * @throws what `check` throws, the reason of one of `signals`, or Error when the time is over
 */
export async function waitForAgent(
  address: GuestAddress,
  check: () => Promise<void>,
  ms: number,
  ...signals: AbortSignal[]
): Promise<void> {
  const limit = within(ms, ...signals);
  let answered = false;
  let checkedAt = -Infinity;
  const tryOnce = async (): Promise<void> => {
    answered = (await health(address, within(TRY_MS)).catch(() => false)) || answered;
  };
  for (;;) {
    await Promise.race([
      tryOnce(),
      delay(NEXT_TRY_AFTER_MS, undefined, { ref: false, signal: limit }).catch(() => undefined),
    ]);
    if (answered) return;
    if (performance.now() - checkedAt >= CHECK_EVERY_MS) {
      await check();
      checkedAt = performance.now();
    }
    await delay(TRY_EVERY_MS, undefined, { signal: limit }).catch(() => {
      for (const signal of signals) signal.throwIfAborted();
      throw new Error(`its guest's agent did not answer within ${ms / 1000} s`);
    });
  }
}
