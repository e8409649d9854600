interface Waiting {
  begin: () => void;
}

/** Of the places, a tenant leaves so many to others. */
const LEFT_TO_OTHERS = 1 / 4;

/**
 * Lets so many steps go on at once, whosoever they are in turn: a tenant who asks for a thousand things waits behind itself, and
 * never fills all places.
 */
export class Turns {
  readonly #running = new Map<string, number>();
  readonly #waiting = new Map<string, Waiting[]>();
  /** Of tenants that have something under way or waiting. */
  readonly #servedAt = new Map<string, number>();
  #served = 0;
  #taken = 0;

  constructor(private readonly places: number) {}

  /** @throws the signal's reason when that comes before the turn; what `work` throws. */
  async take<T>(tenant: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#turn(tenant, signal);
    try {
      return await work();
    } finally {
      this.#taken -= 1;
      const left = (this.#running.get(tenant) ?? 1) - 1;
      if (left === 0) this.#running.delete(tenant);
      else this.#running.set(tenant, left);
      this.#serve();
      this.#forget(tenant);
    }
  }

  #turn(tenant: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        begin: () => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      const giveUp = (): void => {
        this.#leave(tenant, waiting);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.set(tenant, [...(this.#waiting.get(tenant) ?? []), waiting]);
      this.#serve();
    });
  }

  /** Whoever has the fewest steps under way comes first; of equals, whoever was served longest ago. */
  #serve(): void {
    const most = Math.max(1, Math.floor(this.places * (1 - LEFT_TO_OTHERS)));
    while (this.#taken < this.places) {
      let next: string | undefined;
      for (const tenant of this.#waiting.keys()) {
        if (this.#runningOf(tenant) >= most) continue;
        if (next === undefined || this.#isBefore(tenant, next)) next = tenant;
      }
      if (next === undefined) return;
      const [first, ...others] = this.#waiting.get(next) ?? [];
      this.#waiting.delete(next);
      if (others.length > 0) this.#waiting.set(next, others);
      this.#taken += 1;
      this.#running.set(next, this.#runningOf(next) + 1);
      this.#servedAt.set(next, ++this.#served);
      first?.begin();
    }
  }

  #runningOf(tenant: string): number {
    return this.#running.get(tenant) ?? 0;
  }

  #isBefore(one: string, other: string): boolean {
    const servedAt = (tenant: string): number => this.#servedAt.get(tenant) ?? 0;
    const fewer = this.#runningOf(one) - this.#runningOf(other);
    return fewer < 0 || (fewer === 0 && servedAt(one) < servedAt(other));
  }

  #forget(tenant: string): void {
    if (!this.#running.has(tenant) && !this.#waiting.has(tenant)) this.#servedAt.delete(tenant);
  }

  #leave(tenant: string, who: Waiting): void {
    const others = (this.#waiting.get(tenant) ?? []).filter((one) => one !== who);
    if (others.length > 0) this.#waiting.set(tenant, others);
    else this.#waiting.delete(tenant);
    this.#forget(tenant);
  }
}
