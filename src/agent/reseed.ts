import { constants, openSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpError } from './http-error.js';

const LINE = 'crng reseeded due to virtual machine fork';
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
    const record = Buffer.alloc(LONGEST_RECORD_BYTES);
    for (;;) {
      try {
        const bytesRead = readSync(this.#log, record);
        if (bytesRead === 0) return;
        this.#newest = Math.max(this.#newest, sequenceOf(record.toString('utf8', 0, bytesRead)));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return;
        // Records were overwritten before they were read: the next read goes on behind them.
        if (code !== 'EPIPE') throw error;
      }
    }
  }
}

/** A record is `level,sequence,microseconds,flags;text`. */
export function sequenceOf(record: string): number {
  const sequence = /^\d+,(\d+),/.exec(record)?.[1];
  return sequence !== undefined && record.includes(LINE) ? Number(sequence) : -1;
}
