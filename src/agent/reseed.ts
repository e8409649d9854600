import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpError } from './http-error.js';

const LINE = 'crng reseeded due to virtual machine fork';
const TRY_EVERY_MS = 20;
const LIMIT_MS = 5_000;

/** Knows which reseeds of the kernel's random generator it has seen: each restore of a machine brings a new one. */
export class ReseedWatch {
  /** Sequence number of the last record that the host was told of. */
  #seen = -1;

  constructor(private readonly logFile = '/dev/kmsg') {}

  /**
   * Waits for a reseed newer than the last one.
   * @returns its number, to be given to `confirmed` once the host knows of it.
   * @throws HttpError 500 when none comes.
   */
  async waitForNew(limitMs = LIMIT_MS): Promise<number> {
    const giveUpAt = performance.now() + limitMs;
    for (;;) {
      const newest = await newestReseed(this.logFile);
      if (newest > this.#seen) return newest;
      if (performance.now() >= giveUpAt) throw new HttpError(500, 'the kernel did not reseed its random generator');
      await delay(TRY_EVERY_MS);
    }
  }

  confirmed(sequence: number): void {
    this.#seen = Math.max(this.#seen, sequence);
  }
}

/** Sequence number of the newest record about a reseed, -1 when there is none. One read gives one record. */
async function newestReseed(logFile: string): Promise<number> {
  const log = await open(logFile, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(8192);
    let newest = -1;
    for (;;) {
      const bytesRead = await log.read(buffer, 0, buffer.length, null).then(
        (result) => result.bytesRead,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EAGAIN') return 0;
          // The record was overwritten while it was read: the next read goes on behind it.
          if (error.code === 'EPIPE') return -1;
          throw error;
        },
      );
      if (bytesRead === 0) return newest;
      if (bytesRead > 0) newest = Math.max(newest, sequenceOf(buffer.toString('utf8', 0, bytesRead)));
    }
  } finally {
    await log.close();
  }
}

/** A record is `level,sequence,microseconds,flags;text`. */
export function sequenceOf(record: string): number {
  const sequence = /^\d+,(\d+),/.exec(record)?.[1];
  return sequence !== undefined && record.includes(LINE) ? Number(sequence) : -1;
}
