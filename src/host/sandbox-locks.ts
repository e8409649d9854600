interface Holder {
  generation: number;
  abort: AbortController;
  released: Promise<void>;
  since: number;
  /** Gives way to whoever comes. */
  yields: boolean;
}

/**
 * One lock per sandbox, in this process (there is one host worker per state directory, see `host-lock.ts`).
 * A holder gets a signal that aborts when its own caller gives up or a higher generation pre-empts it.
 */
export class SandboxLocks {
  readonly #held = new Map<string, Holder>();

  /** @param now a clock in ms that never goes back */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Runs `work` alone. Waits for the present holder. */
  async hold<T>(
    id: string,
    generation: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    for (let holder = this.#held.get(id); holder !== undefined; holder = this.#held.get(id)) {
      if (holder.yields) giveUp(holder, new Error(`sandbox ${id} is needed by somebody else`));
      await unlessAborted(holder.released, signal);
    }
    return this.#enter(id, generation, signal, work, false);
  }

  /**
   * Runs `work` alone, if nobody else is there: its signal aborts as soon as somebody comes, who then waits for it to end.
   * It changes nothing that others ask `isHeld` for, and does not count there.
   *
   * @returns undefined, at once, when somebody is there
   */
  async holdUntilNeeded<T>(
    id: string,
    generation: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    return this.#held.has(id) ? undefined : this.#enter(id, generation, signal, work, true);
  }

  async #enter<T>(
    id: string,
    generation: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
    yields: boolean,
  ): Promise<T> {
    const abort = new AbortController();
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#held.set(id, { generation, abort, released, yields, since: this.now() });
    try {
      signal.throwIfAborted();
      return await work(AbortSignal.any([signal, abort.signal]));
    } finally {
      this.#held.delete(id);
      release();
    }
  }

  /** Aborts a holder of a lower generation; does not wait for it. @returns whether there was one. */
  preempt(id: string, generation: number, reason: Error): boolean {
    const holder = this.#held.get(id);
    if (holder === undefined || holder.generation >= generation) return false;
    giveUp(holder, reason);
    return true;
  }

  /**
   * Whether a step has begun within the last `ms`. One that lasts longer waits for a guest: a guest that answers nothing must
   * not hold up what waits for a quiet moment.
   */
  anyHeldFor(ms: number): boolean {
    const now = this.now();
    return [...this.#held.values()].some(({ yields, since }) => !yields && now - since < ms);
  }

  /** As {@link anyHeldFor}, of one sandbox. */
  isHeldFor(id: string, ms: number): boolean {
    const holder = this.#held.get(id);
    return holder !== undefined && !holder.yields && this.now() - holder.since < ms;
  }

  isHeld(id: string): boolean {
    return this.#held.get(id)?.yields === false;
  }
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    void promise.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}

/** From now on it counts as held: by whoever has come. */
function giveUp(holder: Holder, reason: Error): void {
  holder.yields = false;
  holder.abort.abort(reason);
}
