import { EventQueue } from '../event-queue.js';
import type { ProcessEnd } from './exit-status.js';

export type OutputKind = 'stdout' | 'stderr' | 'pty';
export type ProcessOutput = { kind: OutputKind; bytes: Buffer } | { kind: 'end'; end: ProcessEnd };

const HIGH_WATER_BYTES = 256 * 1024;

/** One listener's queue. */
export class Listener {
  #queue = new EventQueue<ProcessOutput>();
  #bytes = 0;

  constructor(private readonly onDrained: () => void) {}

  get full(): boolean {
    return this.#bytes >= HIGH_WATER_BYTES;
  }

  push(output: ProcessOutput): void {
    if (output.kind !== 'end') this.#bytes += output.bytes.length;
    this.#queue.push(output);
  }

  /** The next output, or undefined when `ms` passed. @throws `signal`'s reason. */
  async next(signal: AbortSignal, ms: number): Promise<ProcessOutput | undefined> {
    const output = await this.#queue.next(signal, ms);
    if (output === undefined || output.kind === 'end') return output;
    const wasFull = this.full;
    this.#bytes -= output.bytes.length;
    if (wasFull && !this.full) this.onDrained();
    return output;
  }
}

/** Hands what a process writes to everyone who listens; while one of them is slow, the process is not read. */
export class Output {
  #listeners = new Set<Listener>();
  #end: ProcessEnd | undefined;
  #afterEnd: ((end: ProcessEnd) => void)[] = [];

  /** `flow`: reads from the process, or stops doing so. */
  constructor(private readonly flow: (reading: boolean) => void) {}

  listen(): Listener {
    const listener = new Listener(() => this.#adjust());
    if (this.#end === undefined) this.#listeners.add(listener);
    else listener.push({ kind: 'end', end: this.#end });
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

  end(end: ProcessEnd): void {
    this.#end = end;
    for (const listener of this.#listeners) listener.push({ kind: 'end', end });
    this.#listeners.clear();
    for (const callback of this.#afterEnd) callback(end);
  }

  #adjust(): void {
    if (this.#end === undefined) this.flow(![...this.#listeners].some((listener) => listener.full));
  }
}
