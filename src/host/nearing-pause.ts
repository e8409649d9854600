import type { Manifest } from './manifest.js';

/** The deadline is by Temporal's clock, idleness by this host's: they need not agree to the millisecond. */
const CLOCKS_DIFFER_MS = 1_000;

/**
 * Whether a sandbox is about to be paused by its timeout, so that its memory is worth sealing now; pure.
 *
 * If nothing comes in between it will have been idle for its timeout, as the pause will ask; one that was used since would
 * go on. And once in its generation: a second file would have the name of the first.
 *
 * @param idleForMs since a byte last passed; longer than the sandbox is there if none ever did
 * @param leadMs so long before the deadline it begins, and not before half of the timeout is over
 */
export function isNearingPause(
  { phase, generation, basis, view }: Manifest,
  { idleForMs, now, leadMs }: { idleForMs: number; now: number; leadMs: number },
): boolean {
  const { spec, status, endAt, timeoutMs } = view;
  if (phase.name !== 'running' || status !== 'running' || spec.warm === true || timeoutMs === undefined) return false;
  if (spec.onTimeout !== 'pause' || spec.autoPauseKeeps === 'disk' || basis?.generation === generation) return false;
  const leftMs = endAt - now;
  if (leftMs <= 0 || leftMs > Math.min(leadMs, timeoutMs / 2)) return false;
  return idleForMs + leftMs + CLOCKS_DIFFER_MS >= timeoutMs;
}
