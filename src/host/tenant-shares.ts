import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import type { Manifest } from './manifest.js';
import type { SandboxIndex } from './sandbox-index.js';
import { isBusy, sharesOf, type RunningGuest, type Used } from './tenant-shares-plan.js';

export const LOOK_AT_SHARES_EVERY_MS = 5_000;

/** A machine whose share cannot be set is tried at the next look, and then ever more seldom. */
const LONGEST_PAUSE_MS = 300_000;

type DiskUses = Awaited<ReturnType<VmDriver['diskUses']>>;

/** Divides CPU and disk among tenants, not among guests (README, "Tenants have equal weights"). */
export class TenantShares {
  readonly #used = new Map<string, Used>();
  /** By machine: another generation may be another QEMU, with the weights of a new one. */
  readonly #given = new Map<string, string>();
  readonly #failed = new Map<string, { generation: number; times: number; until: number }>();
  readonly #said = new Set<string>();
  readonly #now: () => number;

  constructor(
    private readonly options: {
      driver: Pick<VmDriver, 'cpuSeconds' | 'diskUses' | 'setShare'>;
      index: Pick<SandboxIndex, 'all' | 'get'>;
      domainPrefix: string;
      /** Of a tenant's busy guests together, bytes per second; undefined: no limit. */
      diskRate: number | undefined;
      log: Logger;
      /** A clock in ms that never goes back. */
      now?: () => number;
    },
  ) {
    this.#now = options.now ?? (() => performance.now());
  }

  async look(): Promise<void> {
    const running = this.options.index.all().filter(isRunning);
    const ids = new Set(running.map(({ id }) => id));
    for (const known of [this.#used, this.#given, this.#failed]) {
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    }
    const disks = await this.#diskUses(running);
    const guests: RunningGuest[] = await Promise.all(
      running.map(async ({ id, view, phase }) => ({
        id,
        tenant: view.spec.tenant,
        // A boot takes a processor for as long as it lasts.
        isBusy: (await this.#isBusy(id, disks)) || phase.name === 'booting',
      })),
    );
    const shares = sharesOf(guests);
    for (const manifest of running) await this.#give(manifest, shares.get(manifest.id) ?? 1);
  }

  async #give({ id, generation }: Manifest, share: number): Promise<void> {
    const { index, domainPrefix, driver, diskRate, log } = this.options;
    const wanted = `${generation} ${share}`;
    const failed = this.#failed.get(id);
    if (this.#given.get(id) === wanted) return;
    if (failed?.generation === generation && failed.until > this.#now()) return;
    const isNew = this.#given.get(id)?.startsWith(`${generation} `) !== true;
    // A command to a machine that is being paused would wait for its end, and all others with it.
    const current = index.get(id);
    if (current?.generation !== generation || !isRunning(current)) return;
    if (isNew && share === 1 && failed === undefined) {
      // What a machine is born with.
      this.#given.set(id, wanted);
      return;
    }
    try {
      const refusals = await driver.setShare(
        `${domainPrefix}${id}`,
        share,
        diskRate === undefined ? undefined : diskRate * share,
      );
      this.#given.set(id, wanted);
      this.#failed.delete(id);
      for (const refusal of refusals.filter((one) => !this.#said.has(one))) {
        this.#said.add(refusal);
        log.warn(`tenants are not weighed against each other in everything: this host has no ${refusal}`);
      }
    } catch (error) {
      this.#given.delete(id);
      this.#hasFailed({ id, generation }, error);
    }
  }

  #hasFailed({ id, generation }: Pick<Manifest, 'id' | 'generation'>, error: unknown): void {
    const { index, log } = this.options;
    const before = this.#failed.get(id);
    const times = before?.generation === generation ? before.times + 1 : 0;
    const pauseMs = times === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, LOOK_AT_SHARES_EVERY_MS * 2 ** times);
    this.#failed.set(id, { generation, times, until: this.#now() + pauseMs });
    const current = index.get(id);
    const fields = { sandbox: id, err: error };
    const text = 'what a guest may take beside others could not be set; it is tried again';
    // One that ends meanwhile is no failure, and one that fails for long is said once.
    if (times === 1 && current?.phase.name === 'running') log.warn(fields, text);
    else log.debug(fields, text);
  }

  /** Where no tenant has several guests there is nothing to divide. */
  async #diskUses(running: readonly Manifest[]): Promise<DiskUses> {
    const { driver, log } = this.options;
    const tenants = new Set(running.map(({ view }) => view.spec.tenant));
    if (tenants.size === running.length) return new Map();
    return driver.diskUses().catch((error: unknown): DiskUses => {
      log.debug({ err: error }, 'how much guests use their disks could not be looked at');
      return new Map();
    });
  }

  async #isBusy(id: string, disks: DiskUses): Promise<boolean> {
    const { driver, domainPrefix } = this.options;
    const name = `${domainPrefix}${id}`;
    const cpuSeconds = await driver.cpuSeconds(name).catch(() => undefined);
    if (cpuSeconds === undefined) return false;
    const disk = disks.get(name);
    const used = { at: this.#now(), cpuSeconds, ...(disk === undefined ? {} : { disk }) };
    const before = this.#used.get(id);
    this.#used.set(id, used);
    return isBusy(before, used);
  }
}

const isRunning = ({ phase, view }: Manifest): boolean =>
  (phase.name === 'running' || phase.name === 'booting') && view.spec.warm !== true;
