import { rm } from 'node:fs/promises';
import path from 'node:path';
import { dueRepairs, stillUnknown, type Repairable } from '../src/invariants/due-repairs.js';
import { findViolations } from '../src/invariants/find-violations.js';
import type { Observation } from '../src/invariants/observation.js';
import { keyOf, type Repair, type Violation } from '../src/invariants/violation.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { removeSandbox } from './remove-sandbox.js';

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
    for (const violation of this.#due(seen)) {
      const did = await this.#repair(violation).catch((error: unknown) => {
        this.context.log.error({ err: error, ...violation }, 'a repair failed; it is tried again at the next sweep');
        return false;
      });
      if (!did) continue;
      repaired.push(violation);
      this.context.log.warn({ ...violation }, 'repaired');
    }
    return { found, repaired };
  }

  #due(seen: Observation): Repairable[] {
    return dueRepairs(findViolations(seen), seen, { unknownSince: this.#unknownSince, minAgeMs: this.minAgeMs });
  }

  async #repair(violation: Repairable): Promise<boolean> {
    const { repair } = violation;
    if (!('id' in repair)) return this.#once(violation);
    const { locks, index } = this.context;
    if (locks.isHeld(repair.id)) return false;
    const generation = index.generation(repair.id);
    return locks.hold(repair.id, generation, new AbortController().signal, () => this.#once(violation));
  }

  /** Looks again, and repairs if it is still so. */
  async #once(violation: Repairable): Promise<boolean> {
    const seen = await this.observe();
    if (!this.#due(seen).some((one) => keyOf(one) === keyOf(violation))) return false;
    await this.#do(violation.repair, seen);
    return true;
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
