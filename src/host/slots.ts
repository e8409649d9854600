/**
 * A slot is a small number that a sandbox holds while it has a machine, alone on this machine (`slot-claims.ts`). It gives the unix user of its QEMU and
 * passt, and the loopback address on which its agent's port is forwarded: both unique, both derived, nothing to leak.
 */

export const SLOT_ADDRESSES = '127.64.0.0/10';
/** Without its first and last address. */
const FIRST_ADDRESS = (127 << 24) | (64 << 16);
const MAX_SLOTS = (1 << 22) - 2;

export const slotUid = (uidBase: number, slot: number): number => uidBase + slot;

export function slotAddress(slot: number): string {
  const address = FIRST_ADDRESS + slot + 1;
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** The first free slot from `from` on, all around: one that was given back rests for as long as it can. @returns undefined when all are taken. */
export function freeSlot(taken: ReadonlySet<number>, uidCount: number, from = 0): number | undefined {
  const limit = Math.min(uidCount, MAX_SLOTS);
  for (let step = 0; step < limit; step++) {
    const slot = (from + step) % limit;
    if (!taken.has(slot)) return slot;
  }
  return undefined;
}
