import type { Reboots } from './after-reboot.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';

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
    const { index, driver, locks, log, onCrash } = this.context;
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
    this.#resetBoots.set(id, bootId);
    this.#record(id, `${why}; it is rebooted`);
    await driver.reset(domainName(id));
    this.reboots.notice(id);
  }

  /** libvirt ends or resets such a machine by itself. */
  panicked(id: string): void {
    this.context.log.warn({ sandbox: id }, 'the kernel of a guest panicked');
    this.#record(id, 'the kernel of the guest panicked');
  }

  #record(id: string, message: string): void {
    const generation = String(this.context.index.get(id)?.generation);
    const fields = { source: 'host', event: 'crashed', generation };
    this.context.journal.addEntries(id, [{ at: Date.now(), level: 'error', message, fields }]);
  }
}
