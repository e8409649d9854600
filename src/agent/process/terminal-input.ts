import { writeSync } from 'node:fs';
import { Code, ConnectError } from '@connectrpc/connect';
import { refuseBacklog } from './running.js';

const TRY_EVERY_MS = 10;

interface Waiting {
  bytes: Uint8Array;
  done: () => void;
  failed: (error: Error) => void;
}

/**
 * What is typed into a terminal, in order. Node writes to a terminal until all is taken, and does nothing else
 * meanwhile: a program that does not read would stop the whole agent.
 */
export class TerminalInput {
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param descriptor of the terminal, not blocking
   * @param isOpen whether the descriptor is still the terminal's
   */
  constructor(
    private readonly descriptor: number,
    private readonly isOpen: () => boolean,
  ) {}

  /** Resolves when the terminal has taken it. */
  write(bytes: Uint8Array): Promise<void> {
    refuseBacklog({ writableLength: this.#waiting.reduce((sum, one) => sum + one.bytes.length, 0) }, bytes);
    return new Promise((done, failed) => {
      this.#waiting.push({ bytes, done, failed });
      if (this.#timer === undefined) this.#pump();
    });
  }

  #pump(): void {
    this.#timer = undefined;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      try {
        if (!this.isOpen()) throw new Error('it has ended');
        first.bytes = first.bytes.subarray(writeSync(this.descriptor, first.bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') break;
        first.failed(new ConnectError(`cannot write to the terminal: ${(error as Error).message}`, Code.Internal));
        first.bytes = first.bytes.subarray(first.bytes.length);
      }
      if (first.bytes.length > 0) continue;
      this.#waiting.shift();
      first.done();
    }
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#pump(), TRY_EVERY_MS);
  }
}
