import type { NetworkGuard } from './guard.js';

/** So long guests run on while rules that were taken away are put back. */
const PUT_BACK_WITHIN_MS = 1_000;

interface Log {
  warn(what: object, message: string): void;
  error(what: object, message: string): void;
}

export interface GuardWatchOptions {
  guard: Pick<NetworkGuard, 'ensure'>;
  /** Stands behind the guard; guests run on when it cannot be put back. */
  wall: { ensure(): Promise<string | undefined> };
  /** What is stopped while the guard is not in place. */
  guests: { stop(): Promise<number>; letRun(): Promise<number> };
  log: Log;
  putBackWithinMs?: number;
}

/**
 * Keeps the network guard in place: looks when it is asked to, puts back what is missing, and stops the guests for as long as
 * that does not succeed.
 */
export class GuardWatch {
  /** One that ended before may have left guests that are stopped. */
  #stopped = true;
  #stopping: Promise<void> = Promise.resolve();
  #going: Promise<void> | undefined;
  #again = false;

  constructor(private readonly options: GuardWatchOptions) {}

  /** Whether guests are cut off now, so that the host does not hear them either. */
  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Resolves when a look that began after this call has ended; never rejects. */
  async look(): Promise<void> {
    if (this.#going !== undefined) {
      this.#again = true;
      return this.#going;
    }
    this.#going = this.#untilQuiet();
    return this.#going;
  }

  /** Never rejects. */
  async lookAtWall(): Promise<void> {
    const { wall, log } = this.options;
    try {
      const putRight = await wall.ensure();
      if (putRight !== undefined) log.warn({ why: putRight }, 'put the wall behind the network guard in place');
    } catch (error) {
      log.error({ err: error }, 'the wall behind the network guard is not in place; it is tried again');
    }
  }

  async #untilQuiet(): Promise<void> {
    do {
      this.#again = false;
      await this.#once();
    } while (this.#again);
    this.#going = undefined;
  }

  async #once(): Promise<void> {
    const { guard, guests, log, putBackWithinMs = PUT_BACK_WITHIN_MS } = this.options;
    let slow: NodeJS.Timeout | undefined;
    const isOpen = (): void => {
      slow ??= setTimeout(() => this.#stop(new Error('it takes long to put it back')), putBackWithinMs);
    };
    try {
      // That nft does not answer once says nothing about the rules.
      const putRight = await guard.ensure(isOpen).catch((error: unknown) => {
        if (slow !== undefined) throw error;
        return guard.ensure(isOpen);
      });
      clearTimeout(slow);
      if (putRight !== undefined) log.warn({ why: putRight }, 'put the network guard in place');
      await this.#stopping;
      if (this.#stopped) {
        await guests.letRun();
        this.#stopped = false;
      }
    } catch (error) {
      clearTimeout(slow);
      this.#stop(error);
      await this.#stopping;
    }
  }

  #stop(why: unknown): void {
    const { guests, log } = this.options;
    this.#stopped = true;
    this.#stopping = guests.stop().then(
      (count) =>
        log.error({ err: why, guests: count }, 'the network guard is not in place: the guests’ network is stopped'),
      (error: unknown) => log.error({ err: error }, 'guests could not be stopped, and their network guard is away'),
    );
  }
}
