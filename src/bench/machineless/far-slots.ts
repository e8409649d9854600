import { SlotClaims } from '../../host/slot-claims.js';

/** Far from the slots of real sandboxes on this machine, whose addresses these would otherwise be, and from other runs. */
const FIRST_SLOT = 1_000_000 + (process.pid % 1_500) * 2_000;

/** As many sandboxes can run at once. */
export const FAR_SLOTS = 2_000;

export class FarSlots extends SlotClaims {
  override async claim(sandbox: string): Promise<number | undefined> {
    const slot = await super.claim(sandbox);
    return slot === undefined ? undefined : FIRST_SLOT + slot;
  }

  override async of(sandbox: string, likely: number | null): Promise<number[]> {
    const slots = await super.of(sandbox, likely === null ? null : likely - FIRST_SLOT);
    return slots.map((slot) => FIRST_SLOT + slot);
  }

  override release(slot: number): Promise<void> {
    return super.release(slot - FIRST_SLOT);
  }
}
