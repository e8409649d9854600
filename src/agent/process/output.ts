import type { ProcessEnd } from './exit-status.js';
import { Listener, type OutputKind } from './listener.js';

/** How long others wait for a listener that takes nothing. */
const PATIENCE_BESIDE_OTHERS_MS = 2_000;
/** How long a process waits for its only listeners, when all of them take nothing. */
const PATIENCE_ALONE_MS = 20_000;

/**
 * Hands what a process writes to everyone who listens. While one of them is slow, the process is not read. One that takes
 * nothing at all is cut, alone: the process and the others go on.
 */
export class Output {
  #listeners = new Set<Listener>();
  #end: ProcessEnd | undefined;
  #afterEnd: ((end: ProcessEnd) => void)[] = [];
  #patience: NodeJS.Timeout | undefined;
  /** Of the process; what is cut names it. */
  pid = 0;
  /** Adds to an end what is known of its reason. */
  explain = (end: ProcessEnd): ProcessEnd => end;

  /** `flow`: reads from the process, or stops doing so. */
  constructor(private readonly flow: (reading: boolean) => void) {}

  listen(): Listener {
    const listener = new Listener(() => this.#adjust());
    if (this.#end === undefined) this.#listeners.add(listener);
    else listener.push({ kind: 'end', end: this.#end });
    this.#adjust();
    return listener;
  }

  onEnd(callback: (end: ProcessEnd) => void): void {
    if (this.#end === undefined) this.#afterEnd.push(callback);
    else callback(this.#end);
  }

  leave(listener: Listener): void {
    this.#listeners.delete(listener);
    this.#adjust();
  }

  write(kind: OutputKind, bytes: Buffer): void {
    if (bytes.length === 0) return;
    for (const listener of this.#listeners) listener.push({ kind, bytes });
    this.#adjust();
  }

  end(given: ProcessEnd): void {
    const end = this.explain(given);
    this.#end = end;
    clearTimeout(this.#patience);
    for (const listener of this.#listeners) listener.push({ kind: 'end', end });
    this.#listeners.clear();
    for (const callback of this.#afterEnd) callback(end);
    // What programs in the background print from now on is read, and dropped: they wait for nobody.
    this.flow(true);
  }

  #adjust(): void {
    if (this.#end !== undefined) return;
    const full = [...this.#listeners].filter((listener) => listener.full);
    this.flow(full.length === 0);
    clearTimeout(this.#patience);
    if (full.length === 0) return;
    const patience = full.length < this.#listeners.size ? PATIENCE_BESIDE_OTHERS_MS : PATIENCE_ALONE_MS;
    const longest = Math.min(...full.map(({ lastTook }) => lastTook)) + patience - performance.now();
    this.#patience = setTimeout(() => this.#cutDeaf(full, patience), Math.max(0, longest)).unref();
  }

  #cutDeaf(full: Listener[], patience: number): void {
    for (const listener of full) {
      if (!listener.full || performance.now() - listener.lastTook < patience) continue;
      this.#listeners.delete(listener);
      listener.cut(this.pid);
    }
    this.#adjust();
  }
}
