import { crashIn, SUSPECT_AFTER_MS, type Silence } from './silence.js';

/** `agent`: it answered. `kernel`: the guest refused the connection at once. `unknown`: the host could not ask. */
export type Sign = 'agent' | 'kernel' | 'none' | 'unknown';

/** A sandbox that runs for its owner. */
export interface WatchedGuest {
  id: string;
  /** Somebody works on it, and nothing is done to it. */
  held: boolean;
  boots: boolean;
}

const LOOK_EVERY_MS = 5_000;
const ASK_EVERY_MS = 10_000;
/** A slow answer counts as one. */
const ANSWERS_WITHIN_MS = 30_000;
/** Looks that come so late are no measure: this process stood still, or the whole host did. */
const LATE_MS = 3 * LOOK_EVERY_MS;
const REPORT_EVERY_MS = 10_000;

interface Known {
  /** Somebody has seen it answer: until then it may be booting, which nobody has told this process of. */
  wasHeard: boolean;
  agentAt: number;
  kernelAt: number;
  askedAt: number;
  cpuAtFirst: number | undefined;
  crash: string | undefined;
  reportedAt: number;
}

/**
 * Notices guests that have crashed though their QEMU lives (README, "A guest that has crashed is noticed"). Whoever gets an
 * answer of an agent says so here; a guest of which nobody does is asked, for itself and beside the others.
 */
export class GuestLife {
  readonly #known = new Map<string, Known>();
  readonly #looking = new Set<string>();
  #lookedAt: number;

  constructor(
    private readonly options: {
      /** Undefined: no silence is a crash. */
      afterMs: number | undefined;
      running: () => WatchedGuest[];
      ask: (id: string, signal: AbortSignal) => Promise<Sign>;
      /** Undefined: the machine is not there, or its virtual CPUs stand. */
      cpuSeconds: (id: string) => Promise<number | undefined>;
      /** Repeated while the guest is there, and silent. */
      onCrash: (id: string, why: string) => Promise<void>;
      failed: (id: string, error: unknown) => void;
      /** A clock in ms that never goes back. */
      now?: () => number;
    },
  ) {
    this.#lookedAt = this.#now();
  }

  /** @returns stops looking. */
  start(): () => void {
    const timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }

  /** Its agent has answered, whatever it said. */
  heard(id: string): void {
    if (this.options.afterMs !== undefined) this.#known.set(id, this.#anew(true));
  }

  /** Its machine has been made to boot. */
  boots(id: string): void {
    this.#known.set(id, this.#anew(false));
  }

  /** Its virtual CPUs stand, as for want of room on a disk: it cannot answer. */
  stands(id: string): void {
    this.#known.set(id, this.#anew(this.#known.get(id)?.wasHeard === true));
  }

  /** @returns why its guest must have crashed; undefined while it may live. */
  crashed(id: string): string | undefined {
    return this.#known.get(id)?.crash;
  }

  /** Reboots may have been missed. */
  pardonAll(): void {
    this.#known.clear();
  }

  look(): void {
    const { afterMs } = this.options;
    if (afterMs === undefined) return;
    const now = this.#now();
    if (now - this.#lookedAt > LATE_MS) this.pardonAll();
    this.#lookedAt = now;
    const guests = this.options.running();
    const ids = new Set(guests.map(({ id }) => id));
    for (const id of this.#known.keys()) if (!ids.has(id)) this.#known.delete(id);
    for (const guest of guests) {
      const known = this.#known.get(guest.id) ?? this.#anew(false);
      this.#known.set(guest.id, known);
      if (now - known.agentAt < SUSPECT_AFTER_MS) continue;
      if (now - known.askedAt >= ASK_EVERY_MS) this.#ask(guest.id, known, now);
      if (this.#looking.has(guest.id)) continue;
      this.#looking.add(guest.id);
      this.#judge(guest, known, afterMs)
        .catch((error: unknown) => this.options.failed(guest.id, error))
        .finally(() => this.#looking.delete(guest.id));
    }
  }

  #ask(id: string, known: Known, now: number): void {
    known.askedAt = now;
    this.options
      .ask(id, AbortSignal.timeout(ANSWERS_WITHIN_MS))
      .then((sign) => {
        if (this.#known.get(id) !== known || sign === 'none') return;
        if (sign === 'kernel') known.kernelAt = this.#now();
        else this.heard(id);
      })
      .catch((error: unknown) => this.options.failed(id, error));
  }

  async #judge({ id, held, boots }: WatchedGuest, known: Known, afterMs: number): Promise<void> {
    const cpuSeconds = await this.options.cpuSeconds(id);
    if (this.#known.get(id) !== known) return;
    if (cpuSeconds === undefined) return this.stands(id);
    known.cpuAtFirst ??= cpuSeconds;
    const now = this.#now();
    const silence: Silence = {
      agentMs: now - known.agentAt,
      kernelMs: now - Math.max(known.agentAt, known.kernelAt),
      cpuSeconds: cpuSeconds - known.cpuAtFirst,
      boots: boots || !known.wasHeard,
    };
    known.crash = crashIn(silence, afterMs);
    if (known.crash === undefined || held || now - known.reportedAt < REPORT_EVERY_MS) return;
    known.reportedAt = now;
    await this.options.onCrash(id, known.crash);
  }

  #anew(wasHeard: boolean): Known {
    return {
      ...{ wasHeard, agentAt: this.#now(), kernelAt: -Infinity, askedAt: -Infinity },
      ...{ cpuAtFirst: undefined, crash: undefined, reportedAt: -Infinity },
    };
  }

  #now(): number {
    return this.options.now?.() ?? performance.now();
  }
}
