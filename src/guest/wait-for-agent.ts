import { setTimeout as delay } from 'node:timers/promises';
import { health, type GuestAddress } from './client.js';
import { within } from '../within.js';

const TRY_EVERY_MS = 200;
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
  let checkedAt = -Infinity;
  for (;;) {
    const answered = await health(address, within(5_000, limit)).catch(() => false);
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
