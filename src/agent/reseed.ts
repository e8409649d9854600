import { constants, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpError } from './http-error.js';
import { lastErrno, read } from './libc.js';

/** What the kernel says of it. */
export const RESEED_RECORD = 'crng reseeded due to virtual machine fork';
const TRY_EVERY_MS = 5;
/** The host asks again; meanwhile a save would keep whoever waits here, to take the record of the next restore. */
const LIMIT_MS = 1_000;
const LONGEST_RECORD_BYTES = 8192;

/**
 * Knows for which wakes the kernel's random generator was reseeded: each restore of a machine brings one reseed. Stays at
 * the end of the kernel's log, so that after a restore there is one record to read and not the whole log.
 */
export class ReseedWatch {
  /** Sequence number of the record that the last wake took. */
  #taken = -1;
  #newest = -1;
  #wake: string | undefined;
  #log: number | undefined;
  readonly #record = Buffer.alloc(LONGEST_RECORD_BYTES);

  constructor(private readonly logFile = '/dev/kmsg') {}

  /**
   * Waits for a reseed that no earlier wake took.
   * @param wake name of the host's that each wake has anew; whether an answer has reached the host, nobody here knows, so
   *   the same wake may ask again
   * @param isGone whether who asked has gone: then nothing is taken
   * @returns whether it asked for the first time.
   * @throws HttpError 503 when there is none so far: a busy host runs the kernel's part of it late.
   */
  async waitFor(wake: string | undefined, isGone: () => boolean, limitMs = LIMIT_MS): Promise<boolean> {
    const giveUpAt = performance.now() + limitMs;
    for (;;) {
      if (isGone()) throw new HttpError(503, 'nobody waits for the answer any more');
      if (wake !== undefined && wake === this.#wake) return false;
      this.readOn();
      if (this.#newest > this.#taken) break;
      if (performance.now() >= giveUpAt) throw new HttpError(503, 'the kernel has not reseeded its random generator');
      await delay(TRY_EVERY_MS);
    }
    this.#taken = this.#newest;
    this.#wake = wake;
    return true;
  }

  /** What an agent that is started later in the same guest has to know. */
  taken(): { taken: number; wake: string | undefined } {
    return { taken: this.#taken, wake: this.#wake };
  }

  restore(before: { taken: number; wake?: string | undefined }): void {
    this.#taken = before.taken;
    this.#wake = before.wake;
  }

  /** A wake that asks for no reseed: what the kernel did for it is not for the next one. */
  pass(): void {
    this.readOn();
    this.#taken = this.#newest;
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
