import { statfs } from 'node:fs/promises';
import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import { disksToHold, isOver, isReached, isShort, type DiskRoom, type GrowingDisk } from './disk-hold-plan.js';
import { allocatedMiB, isAwake, shareOfDisk, type DiskLimits } from './disk-promises.js';
import type { Manifest } from './manifest.js';
import type { SandboxIndex } from './sandbox-index.js';

const MIB = 1024 * 1024;

/** A disk that writes two gigabytes a second takes half a gigabyte meanwhile. */
export const LOOK_AT_DISK_EVERY_MS = 250;

/** What its owner reads of it in the sandbox's log. */
export const HELD = {
  level: 'warn',
  message:
    'the sandbox is held: the disk of its host has little room left, and its own disk grows. It goes on where it was when there is room; it can be paused and killed.',
} as const;

/** Holds guests that would take the room of the service or of others' pauses (README, "Guests that grow are held"). */
export class DiskHold {
  readonly #held = new Set<string>();
  readonly #asked = new Set<string>();
  #sinceShort = new Map<string, number>();
  #sinceReached = new Map<string, number>();

  constructor(
    private readonly options: {
      driver: Pick<VmDriver, 'suspend'>;
      index: Pick<SandboxIndex, 'all' | 'get' | 'paths'>;
      limits: DiskLimits;
      domainPrefix: string;
      /** Called once for each that is held. */
      onHeld: (manifest: Manifest) => void;
      log: Logger;
      /** Free for the service's own user; tests. */
      freeMiB?: () => Promise<number>;
    },
  ) {}

  /** Nobody lets it run meanwhile. */
  isHeld(id: string): boolean {
    return this.#held.has(id);
  }

  /** Does not wait for a QEMU. */
  async look(): Promise<void> {
    const { index, limits, log } = this.options;
    for (const id of this.#held) {
      const manifest = index.get(id);
      if (manifest === undefined || !isAwake(manifest)) this.#held.delete(id);
    }
    const awake = index.all().filter(isAwake);
    const imagesMiB = awake.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0);
    const sharesMiB = awake.reduce((sum, { view }) => sum + shareOfDisk(view.spec.diskMiB, limits), 0);
    const leftMiB = (await this.#freeMiB()) - imagesMiB;
    // Without a look at every disk.
    const atLeast = { reserveMiB: limits.diskMiB, leftMiB, offeredMiB: leftMiB - sharesMiB - limits.diskMiB };
    if (isOver(atLeast)) return this.#release();
    const disks = await Promise.all(awake.map((manifest) => this.#disk(manifest)));
    const unusedMiB = disks.reduce((sum, { usedMiB, shareMiB }) => sum + Math.max(0, shareMiB - usedMiB), 0);
    const room: DiskRoom = { ...atLeast, offeredMiB: leftMiB - unusedMiB - limits.diskMiB };
    if (isOver(room)) return this.#release();
    this.#sinceShort = isShort(room) ? sizesSince(this.#sinceShort, disks) : new Map();
    this.#sinceReached = isReached(room) ? sizesSince(this.#sinceReached, disks) : new Map();
    for (const id of disksToHold(room, disks)) {
      const disk = disks.find((one) => one.id === id);
      const manifest = index.get(id);
      if (disk === undefined || manifest === undefined || this.#asked.has(id)) continue;
      // What it writes from here on is growth after it was held: somebody has let it run, and it is held again.
      if (this.#sinceShort.has(id)) this.#sinceShort.set(id, disk.usedMiB);
      if (this.#sinceReached.has(id)) this.#sinceReached.set(id, disk.usedMiB);
      this.#hold(manifest);
      log.debug({ sandbox: id, ...room, usedMiB: disk.usedMiB }, 'a guest that grows is held');
    }
  }

  #hold(manifest: Manifest): void {
    const { driver, domainPrefix, onHeld, log } = this.options;
    const { id } = manifest;
    const isNews = !this.#held.has(id);
    this.#held.add(id);
    this.#asked.add(id);
    // Also while a step goes on: one that waits for its guest may wait for minutes.
    driver
      .suspend(`${domainPrefix}${id}`)
      .then(() => {
        if (!isNews) return;
        log.warn({ sandbox: id }, 'this host’s disk has little room and a guest’s disk grows: the guest is held');
        onHeld(manifest);
      })
      .catch((error: unknown) => {
        this.#held.delete(id);
        log.warn({ sandbox: id, err: error }, 'a guest whose disk grows could not be held');
      })
      .finally(() => this.#asked.delete(id));
  }

  #release(): void {
    if (this.#held.size > 0) this.options.log.info({ sandboxes: [...this.#held] }, 'there is room: held guests go on');
    this.#held.clear();
    this.#sinceShort = new Map();
    this.#sinceReached = new Map();
  }

  async #disk({ id, view }: Manifest): Promise<GrowingDisk> {
    const { index, limits } = this.options;
    return {
      id,
      usedMiB: await allocatedMiB(index.paths.sandbox(id).overlay),
      shareMiB: shareOfDisk(view.spec.diskMiB, limits),
      sinceShort: this.#sinceShort.get(id),
      sinceReached: this.#sinceReached.get(id),
    };
  }

  async #freeMiB(): Promise<number> {
    if (this.options.freeMiB !== undefined) return this.options.freeMiB();
    const { bavail, bsize } = await statfs(this.options.index.paths.sandboxes);
    return (bavail * bsize) / MIB;
  }
}

/** Sizes at the first look since; of those that came later, at theirs. */
const sizesSince = (before: ReadonlyMap<string, number>, disks: readonly GrowingDisk[]): Map<string, number> =>
  new Map(disks.map(({ id, usedMiB }) => [id, before.get(id) ?? usedMiB]));
