import { setTimeout as delay } from 'node:timers/promises';
import { health, type GuestAddress } from './client.js';
import { within } from '../within.js';

const TRY_EVERY_MS = 200;

/**
 * Resolves once the agent of a booting guest answers.
 * @param check throws when waiting has become pointless
 * @throws what `check` throws, or `signal`'s reason
 */
export async function waitForAgent(
  address: GuestAddress,
  check: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const answered = await health(address, within(5_000, signal)).catch(() => false);
    if (answered) return;
    await check();
    await delay(TRY_EVERY_MS, undefined, { signal });
  }
}
