import type { SandboxSpec } from '../../workflows/view.js';
import { newTokenNonce } from '../keys/access-token.js';
import type { Logger } from '../log.js';
import type { Manifest } from './manifest.js';
import type { SandboxIndex } from './sandbox-index.js';
import { planWarm } from './warm-plan.js';

/** What a warm machine is made from. */
export interface WarmTemplate {
  key: string;
  names: string[];
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  envdVersion: string;
}

const FIRST_BACK_OFF_MS = 10_000;
const LONGEST_BACK_OFF_MS = 600_000;

/**
 * Keeps machines ready that a create can take over (README, "A warm machine is a sandbox that nobody owns yet"). All
 * that it knows is in the manifests of this host: whichever process comes next goes on with the machines that are there.
 */
export class WarmPool {
  #failures = 0;
  #notBefore = 0;

  constructor(
    private readonly options: {
      size: number;
      hostId: string;
      index: SandboxIndex;
      newest: () => Promise<WarmTemplate | undefined>;
      /** Room for one more machine of so much memory, beside all that are there. */
      fits: (template: { memoryMiB: number; diskMiB: number }) => Promise<boolean>;
      /** Not in use, and not being worked on. */
      isFree: (id: string) => boolean;
      /** A step on it has begun a moment ago. One that lasts waits for its guest, and must not hold the pool up. */
      isUnderWay: (id: string) => boolean;
      newId: () => string;
      /** Starts its workflow; answers when the machine runs. */
      start: (spec: SandboxSpec) => Promise<unknown>;
      /** Answers when nothing of it is left. Throws an Error with the code `NotWarm` when a create was first. */
      discard: (id: string, why: string) => Promise<unknown>;
      log: Logger;
    },
  ) {}

  /** Brings the pool one step nearer to what it should be; after a failure not before a while. */
  async tend(): Promise<void> {
    const { size, hostId, index, newest, fits, isUnderWay, start, newId, log } = this.options;
    if (performance.now() < this.#notBefore) return;
    const machines = this.#machines();
    if (size === 0 && machines.length === 0) return;
    try {
      const template = await newest();
      const { start: startOne, discard } = planWarm({
        ...{ size, newest: template?.key },
        machines: machines.map(({ id, templateKey, phase, view }) => {
          return { id, templateKey, phase: phase.name, startedAt: view.startedAt };
        }),
        othersAreMade: index.all().some((manifest) => isBeingMade(manifest) && isUnderWay(manifest.id)),
        fits: template !== undefined && machines.length < size && (await fits(template)),
      });
      for (const { id, why } of discard) await this.#discard(id, why);
      if (startOne && template !== undefined) await start(warmSpec(newId(), hostId, template));
      this.#failures = 0;
    } catch (error) {
      const backOffMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** this.#failures);
      this.#failures += 1;
      this.#notBefore = performance.now() + backOffMs;
      log.warn({ err: error, againInMs: backOffMs }, 'the warm pool is not as it should be; creates go on without it');
    }
  }

  /** One machine is given up for a sandbox that needs its room. @returns false when there is none */
  async makeRoom(): Promise<boolean> {
    for (const { id } of this.#machines()) {
      try {
        if (await this.#discard(id, 'its room was needed')) return true;
      } catch (error) {
        this.options.log.warn({ sandbox: id, err: error }, 'a warm machine could not be given up for its room');
        // Whoever waits for room waits for every try: the next one would take as long.
        if ((error as { code?: string }).code === 'OutcomeUnknown') return false;
      }
    }
    return false;
  }

  /** Those that a create can have now. */
  candidates(): { id: string; templateKey: string }[] {
    return this.#machines()
      .filter(({ id, phase }) => phase.name === 'running' && this.options.isFree(id))
      .map(({ id, templateKey }) => ({ id, templateKey }));
  }

  #machines(): Manifest[] {
    return this.options.index.all().filter(({ view }) => view.spec.warm === true);
  }

  /** @returns false when a create was first, or it has ended by itself. */
  async #discard(id: string, why: string): Promise<boolean> {
    try {
      await this.options.discard(id, why);
      return true;
    } catch (error) {
      if (['NotWarm', 'NotFound'].includes((error as { code: string }).code)) return false;
      throw error;
    }
  }
}

const isBeingMade = ({ phase, view }: Manifest): boolean =>
  view.spec.warm !== true && ['creating', 'restoring', 'booting'].includes(phase.name);

/** Of no tenant (their names are not empty), and cut off from every network until somebody's. */
const warmSpec = (id: string, hostId: string, template: WarmTemplate): SandboxSpec => ({
  ...{ id, tenant: '', hostId, templateId: template.names[0] ?? template.key, templateKey: template.key },
  ...{ cpuCount: template.cpuCount, memoryMiB: template.memoryMiB, diskMiB: template.diskMiB },
  ...{ envdVersion: template.envdVersion, metadata: {}, allowInternetAccess: false, timeoutMs: 0, onTimeout: 'kill' },
  ...{ autoResume: false, pausedRetentionMs: 0, warm: true, tokenNonce: newTokenNonce() },
});
