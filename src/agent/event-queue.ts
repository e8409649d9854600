/** Events for one consumer that may be slower than what brings them. */
export class EventQueue<T> {
  #events: T[] = [];
  #wake: (() => void) | undefined;

  get length(): number {
    return this.#events.length;
  }

  push(event: T): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** The next event, or undefined when `ms` passed. @throws `signal`'s reason. */
  async next(signal: AbortSignal, ms: number): Promise<T | undefined> {
    signal.throwIfAborted();
    if (this.#events.length === 0) await this.#arrival(signal, ms);
    signal.throwIfAborted();
    return this.#events.shift();
  }

  async #arrival(signal: AbortSignal, ms: number): Promise<void> {
    let wake = (): void => undefined;
    const awake = new Promise<void>((resolve) => (wake = resolve));
    this.#wake = wake;
    signal.addEventListener('abort', wake, { once: true });
    const timer = setTimeout(wake, ms);
    await awake;
    signal.removeEventListener('abort', wake);
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
