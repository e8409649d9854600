import { randomBytes } from 'node:crypto';
import { access, link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { lockDirectory } from './file-lock.js';
import type { SlotUsers } from './slot-users.js';
import { freeSlot } from './slots.js';

/** Of the machine, not of a state directory: no two host workers may give out the same unix user. */
export const SLOTS_DIRECTORY = '/run/dormouse/slots';

const claimShape = z.object({ bootId: z.string(), stateDir: z.string(), sandbox: z.string() });

/**
 * Which slots of this machine are taken, by any host worker on it: one file per slot, made exclusively, for as long as
 * a sandbox has a machine. A paused one has none, so that more sandboxes can sleep than there are unix users.
 *
 * Given out in turn, and only when no process of the user is left: what was given back with one stays claimed.
 */
export class SlotClaims {
  #next = 0;
  /** Slots that were given back while their users had processes; tried again whenever one is wanted. */
  readonly #notEmpty = new Set<number>();
  /** Slots that nobody has claimed though their users had processes when this host worker started. */
  #inUse: ReadonlySet<number> = new Set();

  constructor(
    private readonly options: {
      /** Shared by all host workers of the machine, on whatever state directory. */
      directory: string;
      stateDir: string;
      /** Slots 0 to count − 1. */
      count: number;
      /** Absent where no process runs as the users of slots. */
      users?: SlotUsers;
    },
  ) {}

  /** @returns undefined when all are taken. */
  async claim(sandbox: string): Promise<number | undefined> {
    const { directory, stateDir, count } = this.options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const draft = path.join(directory, `draft-${randomBytes(8).toString('hex')}`);
    await writeFile(draft, JSON.stringify({ bootId: await currentBoot(), stateDir, sandbox }), { mode: 0o600 });
    try {
      for (;;) {
        const slot = freeSlot(new Set([...(await slotsIn(directory)), ...this.#inUse]), count, this.#next);
        if (slot === undefined && (await this.#someAreFree())) continue;
        if (slot === undefined) return undefined;
        this.#next = slot + 1;
        if (await linked(draft, this.#file(slot))) return slot;
      }
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** What `sandbox` has claimed. `likely` is looked at first, so that the others need not be read. */
  async of(sandbox: string, likely: number | null): Promise<number[]> {
    const { directory, stateDir } = this.options;
    const own = (claim: Claim | undefined): claim is Claim => claim?.sandbox === sandbox && claim.stateDir === stateDir;
    if (likely !== null && own(await readClaim(directory, likely))) return [likely];
    return (await readClaims(directory)).filter(own).map(({ slot }) => slot);
  }

  /** Absent is fine. Its machine must be gone; whatever else runs as its user is ended. */
  async release(slot: number): Promise<void> {
    if ((await this.options.users?.clear(slot)) === false) {
      this.#notEmpty.add(slot);
      return;
    }
    await rm(this.#file(slot), { force: true });
    this.#notEmpty.delete(slot);
  }

  /** @returns whether there are fewer slots now whose users have processes. */
  async #someAreFree(): Promise<boolean> {
    const before = this.#inUse.size + this.#notEmpty.size;
    for (const slot of this.#notEmpty) await this.release(slot);
    if (this.#inUse.size > 0) this.#inUse = (await this.options.users?.inUse()) ?? new Set();
    return this.#inUse.size + this.#notEmpty.size < before;
  }

  /**
   * Gives back what nobody holds any more: claims from before a reboot, of state directories that are gone, and those of
   * this state directory that are not in `held`. Call it at start, before any claim of this process.
   *
   * @param isUnknown of a sandbox whose slot nobody can tell: what it claimed stays its own
   */
  async sweep(held: ReadonlySet<number>, isUnknown: (sandbox: string) => boolean = () => false): Promise<void> {
    const { directory, stateDir } = this.options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // Two sweeps at once could each take away what the other's successor has just claimed.
    const unlock = lockDirectory(directory);
    if (unlock === undefined) return;
    try {
      const bootId = await currentBoot();
      for (const slot of await slotsIn(directory)) {
        const text = await readFile(this.#file(slot), 'utf8').catch(() => undefined);
        if (text === undefined) continue;
        const claim = claimShape.parse(JSON.parse(text));
        const mine = claim.stateDir === stateDir;
        const stale =
          claim.bootId !== bootId ||
          (mine ? !held.has(slot) && !isUnknown(claim.sandbox) : !(await exists(claim.stateDir)));
        if (stale) await this.release(slot);
      }
      this.#inUse = (await this.options.users?.inUse()) ?? new Set();
    } finally {
      unlock();
    }
  }

  #file(slot: number): string {
    return path.join(this.options.directory, String(slot));
  }
}

export type Claim = z.infer<typeof claimShape> & { slot: number };

/** Every claim of the machine that can be read. */
export async function readClaims(directory: string): Promise<Claim[]> {
  const slots = await slotsIn(directory).catch(() => []);
  const claims = await Promise.all(slots.map((slot) => readClaim(directory, slot)));
  return claims.filter((claim) => claim !== undefined);
}

/** Names of the claims' files; drafts are not among them. */
const slotsIn = async (directory: string): Promise<number[]> =>
  (await readdir(directory)).filter((name) => /^\d+$/.test(name)).map(Number);

async function readClaim(directory: string, slot: number): Promise<Claim | undefined> {
  const text = await readFile(path.join(directory, String(slot)), 'utf8').catch(() => undefined);
  const parsed = text === undefined ? undefined : claimShape.safeParse(JSON.parse(text));
  return parsed?.success === true ? { ...parsed.data, slot } : undefined;
}

const currentBoot = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

/** @returns false when `to` is there already. */
const linked = (from: string, to: string): Promise<boolean> =>
  link(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );
