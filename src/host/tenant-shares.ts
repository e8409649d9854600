import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import type { SandboxIndex } from './sandbox-index.js';
import { sharesOf, type RunningGuest } from './tenant-shares-plan.js';

export const LOOK_AT_SHARES_EVERY_MS = 5_000;

/** An idle guest takes some hundredths of a core under emulation. */
const BUSY_CORES = 0.2;

/** Divides CPU and disk among tenants, not among guests (README, "Tenants have equal weights"). */
export class TenantShares {
  readonly #cpu = new Map<string, { seconds: number; at: number }>();
  /** By machine: another generation may be another QEMU, with the weights of a new one. */
  readonly #given = new Map<string, string>();
  readonly #said = new Set<string>();

  constructor(
    private readonly options: {
      driver: Pick<VmDriver, 'cpuSeconds' | 'setShare'>;
      index: Pick<SandboxIndex, 'all'>;
      domainPrefix: string;
      /** Of a tenant's busy guests together, bytes per second; undefined: no limit. */
      diskRate: number | undefined;
      log: Logger;
      /** A clock in ms that never goes back. */
      now?: () => number;
    },
  ) {}

  async look(): Promise<void> {
    const { index, domainPrefix, driver, diskRate, log } = this.options;
    const running = index.all().filter(({ phase, view }) => phase.name === 'running' && view.spec.warm !== true);
    const ids = new Set(running.map(({ id }) => id));
    for (const known of [this.#cpu, this.#given]) for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    const guests: RunningGuest[] = await Promise.all(
      running.map(async ({ id, view }) => ({ id, tenant: view.spec.tenant, isBusy: await this.#isBusy(id) })),
    );
    const shares = sharesOf(guests);
    for (const { id, generation } of running) {
      const share = shares.get(id) ?? 1;
      const wanted = `${generation} ${share}`;
      if (this.#given.get(id) === wanted) continue;
      const isNew = this.#given.get(id)?.startsWith(`${generation} `) !== true;
      this.#given.set(id, wanted);
      // What a machine is born with.
      if (isNew && share === 1) continue;
      const refusals = await driver
        .setShare(`${domainPrefix}${id}`, share, diskRate === undefined ? undefined : diskRate * share)
        .catch((error: unknown) => {
          this.#given.delete(id);
          log.debug({ sandbox: id, err: error }, 'a guest’s share could not be set');
          return [];
        });
      for (const refusal of refusals.filter((one) => !this.#said.has(one))) {
        this.#said.add(refusal);
        log.warn(`tenants are not weighed against each other in everything: this host has no ${refusal}`);
      }
    }
  }

  async #isBusy(id: string): Promise<boolean> {
    const { driver, domainPrefix, now = () => performance.now() } = this.options;
    const seconds = await driver.cpuSeconds(`${domainPrefix}${id}`).catch(() => undefined);
    const before = this.#cpu.get(id);
    const at = now();
    if (seconds === undefined) return false;
    this.#cpu.set(id, { seconds, at });
    return before !== undefined && (seconds - before.seconds) / ((at - before.at) / 1000) > BUSY_CORES;
  }
}
