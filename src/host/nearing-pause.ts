import type { Manifest } from './manifest.js';

/**
 * Whether a sandbox is about to be paused by its timeout, so that its memory is worth sealing now; pure.
 *
 * It has been quiet for at least as long as it still has to be: one that is in use now and then would be found active at
 * its deadline, and go on. And once in its generation: a second file would have the name of the first.
 *
 * @param idleForMs since a byte last passed
 * @param leadMs so long before the deadline, at most, it begins
 */
export function isNearingPause(
  { phase, generation, basis, view }: Manifest,
  { idleForMs, now, leadMs }: { idleForMs: number; now: number; leadMs: number },
): boolean {
  const { spec, status, endAt } = view;
  if (phase.name !== 'running' || status !== 'running' || spec.warm === true) return false;
  if (spec.onTimeout !== 'pause' || spec.autoPauseKeeps === 'disk' || basis?.generation === generation) return false;
  const leftMs = endAt - now;
  const quietMs = Math.min(leadMs, spec.timeoutMs / 2);
  return leftMs > 0 && leftMs <= leadMs && idleForMs >= Math.max(leftMs, quietMs);
}
