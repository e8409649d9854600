import { constants, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpError } from './http-error.js';
import { lastErrno, read } from './libc.js';

/** What the kernel says of it. */
export const RESEED_RECORD = 'crng reseeded due to virtual machine fork';
const TRY_EVERY_MS = 5;
const LIMIT_MS = 5_000;
const LONGEST_RECORD_BYTES = 8192;

/**
 * Knows which reseeds of the kernel's random generator it has seen: each restore of a machine brings a new one. Stays at
 * the end of the kernel's log, so that after a restore there is one record to read and not the whole log.
 */
export class ReseedWatch {
  /** Sequence number of the last record that the host was told of. */
  #seen = -1;
  #newest = -1;
  #log: number | undefined;
  readonly #record = Buffer.alloc(LONGEST_RECORD_BYTES);

  constructor(private readonly logFile = '/dev/kmsg') {}

  /**
   * Waits for a reseed newer than the last one.
   * @returns its number, to be given to `confirmed` once the host knows of it.
   * @throws HttpError 500 when none comes.
   */
  async waitForNew(limitMs = LIMIT_MS): Promise<number> {
    const giveUpAt = performance.now() + limitMs;
    for (;;) {
      this.readOn();
      if (this.#newest > this.#seen) return this.#newest;
      if (performance.now() >= giveUpAt) throw new HttpError(500, 'the kernel did not reseed its random generator');
      await delay(TRY_EVERY_MS);
    }
  }

  confirmed(sequence: number): void {
    this.#seen = Math.max(this.#seen, sequence);
  }

  /** Reads what the kernel has said since. One read gives one record, at once: nothing here waits. */
  readOn(): void {
    this.#log ??= openSync(this.logFile, constants.O_RDONLY | constants.O_NONBLOCK);
    for (;;) {
      const bytes = read(this.#log, this.#record, LONGEST_RECORD_BYTES);
      if (bytes > 0) this.#newest = Math.max(this.#newest, sequenceOf(this.#record.toString('utf8', 0, bytes)));
      else if (bytes === 0 || lastErrno() === system.errno.EAGAIN) return;
      // EPIPE: records were overwritten before they were read; the next read goes on behind them.
      else if (lastErrno() !== system.errno.EPIPE) throw new HttpError(500, `the kernel's log cannot be read`);
    }
  }
}

/** A record is `level,sequence,microseconds,flags;text`. */
export function sequenceOf(record: string): number {
  const sequence = /^\d+,(\d+),/.exec(record)?.[1];
  return sequence !== undefined && record.includes(RESEED_RECORD) ? Number(sequence) : -1;
}
