import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import { within } from '../within.js';
import type { SandboxIndex } from './sandbox-index.js';
import type { SandboxLocks } from './sandbox-locks.js';

/** A QEMU that does not answer keeps its sandbox's lock no longer. */
const ANSWERS_WITHIN_MS = 10_000;

/** Lets machines run again that stand though their sandboxes run (README, "A machine that stands still runs again"). */
export class StandingMachines {
  /** Until libvirt has answered, however long that takes: it is not asked twice. */
  readonly #asked = new Set<string>();
  /** Since when they stand nobody has seen them run: a disk without room stops a machine again and again. */
  readonly #told = new Set<string>();

  constructor(
    private readonly options: {
      driver: Pick<VmDriver, 'state' | 'run'>;
      index: Pick<SandboxIndex, 'get'>;
      locks: SandboxLocks;
      domainPrefix: string;
      log: Logger;
    },
  ) {}

  /** Waits for none of them. @param ids of all sandboxes whose machines stand now */
  letRun(ids: ReadonlySet<string>): void {
    for (const id of this.#told) if (!ids.has(id)) this.#told.delete(id);
    for (const id of ids) if (!this.#asked.has(id)) void this.#letRun(id);
  }

  async #letRun(id: string): Promise<void> {
    const { index, locks, log } = this.options;
    const generation = index.get(id)?.generation;
    if (generation === undefined) return;
    try {
      await locks.holdUntilNeeded(id, generation, within(ANSWERS_WITHIN_MS), (signal) => this.#ask(id, signal));
    } catch (error) {
      if (this.#isNews(id)) log.warn({ sandbox: id, err: error }, 'a machine stands still, and could not be let run');
    }
  }

  /** Alone with the sandbox. */
  async #ask(id: string, signal: AbortSignal): Promise<void> {
    const { driver, index, domainPrefix, log } = this.options;
    const name = `${domainPrefix}${id}`;
    if (index.get(id)?.phase.name !== 'running' || (await driver.state(name)) !== 'paused') return;
    this.#asked.add(id);
    const run = driver.run(name).finally(() => this.#asked.delete(id));
    await Promise.race([run, abortOf(signal)]);
    if (this.#isNews(id))
      log.warn({ sandbox: id }, 'a machine stood still, as it does when its disk has no room; it was let run again');
  }

  #isNews(id: string): boolean {
    if (this.#told.has(id)) return false;
    this.#told.add(id);
    return true;
  }
}

const abortOf = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
