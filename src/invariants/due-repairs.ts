import type { Observation } from './observation.js';
import type { Repair, Violation } from './violation.js';

/** Template builds and overlays that are made ahead of time take minutes. */
const MIN_AGE_OF_DRAFTS_MS = 3_600_000;
/**
 * A workflow that Temporal does not know may be one that Temporal has lost: it must stay unknown for this long, to the
 * same Temporal.
 */
const UNKNOWN_FOR_MS = 600_000;

export type Repairable = Violation & { repair: Repair };

/**
 * Which violations the reaper may repair now, pure.
 * @param unknownSince when each workflow was first found to be unknown; the reaper's own memory
 * @param minAgeMs nothing that is being made is younger than this
 */
export function dueRepairs(
  found: Violation[],
  seen: Observation,
  { unknownSince, minAgeMs }: { unknownSince: ReadonlyMap<string, number>; minAgeMs: number },
): Repairable[] {
  return found.filter((violation): violation is Repairable => {
    const { repair } = violation;
    if (repair === undefined) return false;
    const age = seen.at - changedAt(repair, seen);
    switch (repair.kind) {
      case 'destroy': {
        const run = seen.workflows.find(({ id }) => id === repair.id)?.run;
        if (run === 'ended') return age >= minAgeMs;
        const since = unknownSince.get(repair.id);
        return run === 'unknown' && since !== undefined && seen.at - since >= UNKNOWN_FOR_MS && age >= minAgeMs;
      }
      case 'clear-workspace':
      case 'remove-file':
      case 'kill-process':
        return age >= minAgeMs;
      case 'remove-memory':
      case 'remove-pool-entry':
        return age >= MIN_AGE_OF_DRAFTS_MS;
    }
  });
}

/** The memory of unknown workflows after this look. */
export function stillUnknown(seen: Observation, before: ReadonlyMap<string, number>): Map<string, number> {
  const unknown = seen.workflows.filter(({ run }) => run === 'unknown');
  return new Map(unknown.map(({ id }) => [id, before.get(id) ?? seen.at]));
}

function changedAt(repair: Repair, { sandboxes, memory, pool, misplaced }: Observation): number {
  const entries =
    repair.kind === 'remove-pool-entry' || repair.kind === 'remove-memory'
      ? [...pool, ...misplaced].filter(({ name }) => name === repair.name)
      : [...sandboxes, ...memory].filter(({ id }) => id === repair.id);
  return Math.max(0, ...entries.map((entry) => entry.changedAt));
}
