import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../log.js';

/**
 * Memory that no machine needs any more. To free two gigabytes of tmpfs takes half a second, for which nobody who pauses
 * or kills a sandbox has to wait: it is renamed at once, and freed in the background.
 */
export class DiscardedMemory {
  readonly #freeing = new Set<Promise<void>>();

  /** @param directory on the filesystem of the memory files; its content is this object's alone */
  constructor(
    private readonly directory: string,
    private readonly log: Logger,
  ) {}

  /** Frees what an earlier process left. */
  async sweep(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
    await mkdir(this.directory, { mode: 0o700 });
  }

  /** Nothing is at `file` afterwards, a file or a directory; absent is fine. */
  async discard(file: string): Promise<void> {
    const discarded = path.join(this.directory, randomBytes(8).toString('hex'));
    try {
      await rename(file, discarded);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return;
    }
    const freeing = rm(discarded, { recursive: true, force: true })
      .catch((error: unknown) => this.log.warn({ err: error }, 'memory that is not needed any more could not be freed'))
      .finally(() => this.#freeing.delete(freeing));
    this.#freeing.add(freeing);
  }

  /** Resolves when all of it is free. @returns whether there was anything to wait for */
  async settled(): Promise<boolean> {
    const waited = this.#freeing.size > 0;
    await Promise.all(this.#freeing);
    return waited;
  }
}
