import { rm } from 'node:fs/promises';
import path from 'node:path';
import { dueRepairs, stillUnknown, type Repairable } from '../src/invariants/due-repairs.js';
import { findViolations } from '../src/invariants/find-violations.js';
import type { Observation } from '../src/invariants/observation.js';
import { keyOf, type Repair, type Violation } from '../src/invariants/violation.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { removeSandbox } from './remove-sandbox.js';

/** Repairs that share one look: every look is at everything, and whoever wants one of their sandboxes waits for it. */
const AT_ONCE = 20;

export interface ReaperReport {
  found: Violation[];
  repaired: Violation[];
}

/**
 * Compares what there is on this host with Temporal, and repairs what nobody else will: every repair under its
 * sandbox's lock, and only if it is found again there. What a workflow is in the middle of is left to that workflow.
 */
export class Reaper {
  #unknownSince: ReadonlyMap<string, number> = new Map();

  constructor(
    private readonly context: HostContext,
    private readonly minAgeMs: number,
    /** @throws when something does not answer: then nothing is done. */
    private readonly observe: () => Promise<Observation>,
  ) {}

  async sweep(): Promise<ReaperReport> {
    const seen = await this.observe();
    this.#unknownSince = stillUnknown(seen, this.#unknownSince);
    const found = findViolations(seen);
    const repaired: Violation[] = [];
    const due = this.#due(seen);
    for (let at = 0; at < due.length; at += AT_ONCE) {
      repaired.push(...(await this.#underLocks(due.slice(at, at + AT_ONCE))));
    }
    return { found, repaired };
  }

  #due(seen: Observation): Repairable[] {
    return dueRepairs(findViolations(seen), seen, { unknownSince: this.#unknownSince, minAgeMs: this.minAgeMs });
  }

  /** Repairs under the locks of all their sandboxes; those that are held now wait for the next sweep. */
  async #underLocks(some: Repairable[]): Promise<Repairable[]> {
    const { locks, index } = this.context;
    const free = some.filter(({ repair }) => !('id' in repair) || !locks.isHeld(repair.id));
    const ids = [...new Set(free.flatMap(({ repair }) => ('id' in repair ? [repair.id] : [])))];
    const hold = (at: number): Promise<Repairable[]> => {
      const id = ids[at];
      if (id === undefined) return this.#repair(free);
      return locks.hold(id, index.generation(id), new AbortController().signal, () => hold(at + 1));
    };
    return hold(0);
  }

  /** Looks again, once for all of them, and repairs what is still so. */
  async #repair(some: Repairable[]): Promise<Repairable[]> {
    const { log } = this.context;
    const seen = await this.observe();
    const still = new Set(this.#due(seen).map(keyOf));
    const repaired: Repairable[] = [];
    for (const violation of some) {
      if (!still.has(keyOf(violation))) continue;
      try {
        await this.#do(violation.repair, seen);
      } catch (error) {
        log.error({ err: error, ...violation }, 'a repair failed; it is tried again at the next sweep');
        continue;
      }
      repaired.push(violation);
      log.warn({ ...violation }, 'repaired');
    }
    return repaired;
  }

  async #do(repair: Repair, seen: Observation): Promise<void> {
    const { context } = this;
    const { paths } = context.index;
    switch (repair.kind) {
      case 'destroy':
        await removeSandbox(context, repair.id, context.index.generation(repair.id));
        for (const { id, pid } of seen.processes) {
          if (id === repair.id && !seen.domains.some((domain) => domain.id === id)) process.kill(pid, 'SIGKILL');
        }
        return;
      case 'clear-workspace': {
        const manifest = context.index.get(repair.id);
        if (manifest?.phase.name === 'saved') await giveBack(context, manifest);
        return;
      }
      case 'remove-file':
        return rm(path.join(paths.sandbox(repair.id).directory, repair.name), { force: true });
      case 'remove-memory':
        return rm(path.join(paths.memory, repair.name), { recursive: true, force: true });
      case 'remove-pool-entry':
        return rm(path.join(paths.overlayPool, repair.name), { recursive: true, force: true });
      case 'kill-process':
        process.kill(repair.pid, 'SIGKILL');
    }
  }
}
