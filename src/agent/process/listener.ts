import { Code, ConnectError } from '@connectrpc/connect';
import { EventQueue } from '../event-queue.js';
import type { ProcessEnd } from './exit-status.js';

export type OutputKind = 'stdout' | 'stderr' | 'pty';
export type ProcessOutput = { kind: OutputKind; bytes: Buffer } | { kind: 'end'; end: ProcessEnd };

/** What waits for one listener. The connection to it holds more. */
const MOST_WAITING_BYTES = 1024 * 1024;

/** One listener's queue. */
export class Listener {
  #queue = new EventQueue<ProcessOutput>();
  #bytes = 0;
  #cut: ConnectError | undefined;
  /** When it last took something, or had nothing to take. */
  lastTook = performance.now();

  constructor(private readonly onDrained: () => void) {}

  get full(): boolean {
    return this.#bytes >= MOST_WAITING_BYTES;
  }

  push(output: ProcessOutput): void {
    if (output.kind !== 'end') {
      if (this.#bytes === 0) this.lastTook = performance.now();
      this.#bytes += output.bytes.length;
    }
    this.#queue.push(output);
  }

  /** Its next call ends its stream, with words that say why. */
  cut(pid: number): void {
    const silent = Math.round((performance.now() - this.lastTook) / 1000);
    this.#cut = new ConnectError(
      `this stream was cut: its client took nothing for ${silent} s while ${this.#bytes} bytes of output waited for it. ` +
        `Process ${pid} goes on: connect to it again, and read what it prints, or let it print into a file`,
      Code.ResourceExhausted,
    );
    this.#queue = new EventQueue();
    this.#bytes = 0;
  }

  /** The next output, or undefined when `ms` passed. @throws `signal`'s reason, ConnectError when it was cut. */
  async next(signal: AbortSignal, ms: number): Promise<ProcessOutput | undefined> {
    if (this.#cut !== undefined) throw this.#cut;
    const output = await this.#queue.next(signal, ms);
    this.lastTook = performance.now();
    if (output === undefined || output.kind === 'end') return output;
    const wasFull = this.full;
    this.#bytes -= output.bytes.length;
    if (wasFull && !this.full) this.onDrained();
    return output;
  }
}
