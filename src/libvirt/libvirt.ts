import { rm, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ConnectListAllDomainsFlags, DomainState, type Domain } from '@unraid/libvirt';
import { isBeingSaved } from './being-saved.js';
import { LibvirtConnection } from './connection.js';
import { diskUses, type DiskUse } from './disk-uses.js';
import type { DomainSpec } from './domain-spec.js';
import { domainXml } from './domain-xml.js';
import type { ComingImage, MachineState, VmDriver } from './driver.js';
import { DomainError } from './errors.js';
import { LongCalls } from './long-calls.js';
import { ignoreSharedMemory, ignoresSharedMemory } from './migration-capability.js';
import { clearPlantedPasstFiles } from './passt-files.js';
import { pinned } from './pinned.js';
import { restoreThroughPipe } from './restore-pipe.js';
import { headFor, streamOf } from './save-image-header.js';
import { Shares } from './shares.js';
import { virsh } from './virsh.js';
import { libvirtVersion } from './version.js';
import { within } from '../within.js';

/**
 * From here on libvirt opens a save image twice, and reads its head each time; what comes then in a pipe is the stream.
 * Older ones, which nobody has looked at here, get a plain file once memory is complete.
 */
const READS_HEAD_TWICE_SINCE = 11_003_000;
const MONITOR_TIMEOUT_MS = 30_000;
const END_AGAIN_AFTER_MS = 100;
const LOOK_AGAIN_AFTER_MS = 50;
/** Of device state alone. */
const SAVED_WITHIN_MS = 60_000;
const NO_SUCH_DOMAIN = /domain not found|no domain with matching|failed to get domain/i;
const ENDED_MEANWHILE = /domain is not running|no domain with matching|domain not found/i;

/** {@link VmDriver} over `@unraid/libvirt`. */
export class LibvirtDriver implements VmDriver {
  readonly #connection: LibvirtConnection;
  readonly #longCalls: LongCalls;
  readonly #shares: Shares;
  #version: Promise<number> | undefined;

  constructor(private readonly uri: string) {
    this.#connection = new LibvirtConnection(uri);
    this.#longCalls = new LongCalls(uri);
    this.#shares = Shares.at(uri);
  }

  async start(spec: DomainSpec): Promise<void> {
    await this.#longCalls.run((connection) =>
      this.#withMemoryIgnored(spec, () => connection.use((hypervisor) => hypervisor.domainCreateXML(domainXml(spec)))),
    );
  }

  async restore(spec: DomainSpec, image: ComingImage): Promise<void> {
    const throughPipe = (await this.#libvirtVersion()) >= READS_HEAD_TWICE_SINCE;
    const head = headFor(image.head, domainXml(spec, { questions: throughPipe ? 'few' : 'all' }), spec.name);
    let memoryIgnored!: () => void;
    const ignored = new Promise<void>((resolve) => (memoryIgnored = resolve));
    const restoring = (): Promise<void> =>
      this.#longCalls.run((connection) =>
        this.#withMemoryIgnored(
          spec,
          () => connection.use((hypervisor) => hypervisor.domainRestore(image.pipe) as Promise<void>),
          memoryIgnored,
        ),
      );
    const stream = image.whole.then((whole) => streamOf(whole, spec.name));
    if (throughPipe) {
      // A QEMU that begins to read before it knows what to leave alone refuses all of it.
      const gated = Promise.all([stream, ignored]).then(([bytes]) => bytes);
      return restoreThroughPipe(image.pipe, [head, head], gated, restoring);
    }
    try {
      await writeFile(image.pipe, Buffer.concat([head, await stream]), { mode: 0o600 });
      await restoring();
    } finally {
      await rm(image.pipe, { force: true });
    }
  }

  async run(name: string): Promise<void> {
    if ((await this.state(name)) === 'running') return;
    await this.#onDomain(name, (domain) => domain.resume());
  }

  async suspend(name: string): Promise<void> {
    await this.#onDomain(name, (domain) => domain.suspend());
  }

  setShare(name: string, share: number, bytesPerSecond: number | undefined): Promise<string[]> {
    return this.#shares.set(name, share, bytesPerSecond);
  }

  async save(spec: Pick<DomainSpec, 'name' | 'qmpSocket'>, image: string): Promise<void> {
    if (!(await ignoresSharedMemory(spec.qmpSocket, within(MONITOR_TIMEOUT_MS)))) {
      throw new DomainError(`${spec.name}: QEMU would save the memory too; refusing to write plain memory to ${image}`);
    }
    await this.#longCalls.run((connection) =>
      connection.use(async (hypervisor) =>
        pinned(await hypervisor.domainLookupByName(spec.name), (domain) => domain.save(image)),
      ),
    );
  }

  async awaitSave(name: string, signal: AbortSignal): Promise<void> {
    const end = performance.now() + SAVED_WITHIN_MS;
    for (let waitMs = LOOK_AGAIN_AFTER_MS; await isBeingSaved(this.uri, name, signal); waitMs *= 2) {
      if (performance.now() > end) throw new DomainError(`${name} has been in the middle of a save for too long`);
      await delay(waitMs, undefined, { signal });
    }
  }

  async shutdown(name: string): Promise<void> {
    await this.#end(name, (domain) => domain.shutdown());
  }

  /** The binding lacks it. */
  async reset(name: string): Promise<void> {
    await virsh(this.uri, ['reset', name]);
  }

  async destroy(name: string): Promise<void> {
    await this.#end(name, (domain) => domain.destroy());
  }

  async state(name: string): Promise<MachineState> {
    const domain = await this.#lookup(name);
    if (domain === undefined) return 'absent';
    const info = await this.#connection
      .use(() => pinned(domain, () => domain.getInfo()))
      .catch((error: unknown) => {
        if (error instanceof DomainError && ENDED_MEANWHILE.test(error.message)) return undefined;
        throw error;
      });
    if (info === undefined || info.state === DomainState.SHUTOFF) return 'absent';
    // One that is being shut down has no virtual CPU that runs.
    return info.state === DomainState.PAUSED || info.state === DomainState.SHUTDOWN ? 'paused' : 'running';
  }

  async cpuSeconds(name: string): Promise<number> {
    const domain = await this.#lookup(name);
    if (domain === undefined) throw new DomainError(`there is no machine ${name}`);
    const { cpuTime } = await this.#connection.use(() => pinned(domain, () => domain.getInfo()));
    return Number(cpuTime) / 1e9;
  }

  diskUses(): Promise<Map<string, DiskUse>> {
    return diskUses(this.uri);
  }

  list(prefix: string): Promise<string[]> {
    return this.#list(prefix);
  }

  listStanding(prefix: string): Promise<string[]> {
    return this.#list(prefix, ConnectListAllDomainsFlags.PAUSED);
  }

  async #list(prefix: string, which?: ConnectListAllDomainsFlags): Promise<string[]> {
    const names = await this.#connection.use(async (hypervisor) => {
      const domains = await hypervisor.connectListAllDomains(which);
      return Promise.all(domains.map((domain) => pinned(domain, () => domain.getName() as Promise<string>)));
    });
    return names.filter((name) => name.startsWith(prefix));
  }

  async close(): Promise<void> {
    await Promise.all([this.#connection.close(), this.#longCalls.close()]);
  }

  /** Asked once: a libvirt that is exchanged below a running host worker is a new one only after its restart. */
  #libvirtVersion(): Promise<number> {
    this.#version ??= libvirtVersion(this.uri).catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  async #lookup(name: string): Promise<Domain | undefined> {
    try {
      return await this.#connection.use((hypervisor) => hypervisor.domainLookupByName(name));
    } catch (error) {
      if (error instanceof DomainError && NO_SUCH_DOMAIN.test(error.message)) return undefined;
      throw error;
    }
  }

  async #end(name: string, call: (domain: Domain) => Promise<unknown>): Promise<void> {
    const domain = await this.#lookup(name);
    if (domain === undefined) return;
    await this.#connection
      .use(() => pinned(domain, call))
      .catch((error: unknown) => {
        if (!(error instanceof DomainError && ENDED_MEANWHILE.test(error.message))) throw error;
      });
  }

  async #onDomain(name: string, call: (domain: Domain) => Promise<unknown>): Promise<void> {
    const domain = await this.#lookup(name);
    if (domain === undefined) throw new DomainError(`there is no machine ${name}`);
    await this.#connection.use(() => pinned(domain, call));
  }

  /** QEMU stands still until someone speaks to its second monitor, so both must go on at once, and end together. */
  async #withMemoryIgnored(
    spec: DomainSpec,
    start: () => Promise<unknown>,
    memoryIgnored: () => void = () => undefined,
  ): Promise<void> {
    await rm(spec.qmpSocket, { force: true });
    await clearPlantedPasstFiles(spec);
    const over = new AbortController();
    let settled = false;
    const starting = start()
      .catch((error: unknown) => {
        over.abort();
        throw error;
      })
      .finally(() => (settled = true));
    const monitor = ignoreSharedMemory(spec.qmpSocket, within(MONITOR_TIMEOUT_MS, over.signal))
      .then(memoryIgnored)
      .catch(async (error: unknown) => {
        // libvirt may not know the machine by its name yet; and it would wait for ever for a QEMU that waits for us.
        while (!settled) {
          await this.destroy(spec.name);
          await delay(END_AGAIN_AFTER_MS);
        }
        throw error;
      });
    const [started, ignored] = await Promise.allSettled([starting, monitor]);
    if (started.status === 'rejected') throw started.reason;
    if (ignored.status === 'rejected') throw ignored.reason;
  }
}
