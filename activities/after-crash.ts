import type { Reboots } from './after-reboot.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { tell } from './tell.js';

/** What becomes of sandboxes whose guests have crashed while their machines live. */
export class Crashes {
  /** Boots that were ended by a reset; one whose guest does not come back from it ends. */
  readonly #resetBoots = new Map<string, string | undefined>();

  constructor(
    private readonly context: HostContext,
    private readonly reboots: Pick<Reboots, 'notice'>,
    /** Tells the workflow that it is over. */
    private readonly end: (id: string, generation: number, why: string) => Promise<void>,
  ) {}

  async notice(id: string, why: string): Promise<void> {
    const { index, driver, life, locks, log, onCrash } = this.context;
    const manifest = index.get(id);
    if (manifest?.phase.name !== 'running' || locks.isHeld(id)) return;
    const { generation, bootId } = manifest;
    for (const known of this.#resetBoots.keys()) if (index.get(known) === undefined) this.#resetBoots.delete(known);
    const wasReset = this.#resetBoots.has(id) && this.#resetBoots.get(id) === bootId;
    if (onCrash === 'end' || wasReset) {
      log.warn({ sandbox: id, generation, reason: why }, 'a guest has crashed; its sandbox ends');
      await this.end(id, generation, why);
      return;
    }
    log.warn({ sandbox: id, generation, reason: why }, 'a guest has crashed; its machine is reset');
    await driver.reset(domainName(id));
    // Only now: whoever counts as reset, and is silent, ends.
    this.#resetBoots.set(id, bootId);
    life.boots(id);
    this.reboots.notice(id);
    await this.#record(id, `${why}; it is rebooted`);
  }

  /** libvirt ends or resets such a machine by itself. */
  panicked(id: string): void {
    this.context.log.warn({ sandbox: id }, 'the kernel of a guest panicked');
    void this.#record(id, 'the kernel of the guest panicked');
  }

  /** Never rejects. */
  #record(id: string, message: string): Promise<void> {
    const generation = String(this.context.index.get(id)?.generation);
    const fields = { source: 'host', event: 'crashed', generation };
    return tell(this.context, id, (journal) =>
      journal.addEntries(id, [{ at: Date.now(), level: 'error', message, fields }]),
    );
  }
}
