import type { Fleet } from './fleet.js';
import type { Guest } from './guest.js';
import type { Ending } from './judge.js';
import type { Rig } from './rig.js';

/** That a sandbox which should be there is, with its memory; one that sleeps is woken for it. @returns what is wrong. */
export async function proof(
  rig: Rig,
  fleet: Fleet,
  guest: Guest | { id: string; token: string },
  ending: Ending,
): Promise<string | undefined> {
  try {
    if (ending === 'paused') await fleet.wake(guest);
    if ('nonce' in guest) return await rig.client.prove(guest);
    await rig.client.mark(guest.id, guest.token);
    return undefined;
  } catch (error) {
    return `sandbox ${guest.id} should be there: ${error instanceof Error ? error.message : String(error)}`;
  }
}
