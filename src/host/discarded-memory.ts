import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { Logger } from '../log.js';

const MIB = 1024 * 1024;

/**
 * Memory that no machine needs any more. To free two gigabytes of tmpfs takes half a second, for which nobody who pauses
 * or kills a sandbox has to wait: its directory is renamed at once, and freed in the background.
 */
export class DiscardedMemory {
  /** With what they free, MiB. */
  readonly #freeing = new Map<Promise<void>, number>();

  /** @param directory on the filesystem of the memory files; its content is this object's alone */
  constructor(
    private readonly directory: string,
    private readonly log: Logger,
  ) {}

  /** Frees what an earlier process left. */
  async sweep(): Promise<void> {
    await removeAll(this.directory);
    await mkdir(this.directory, { mode: 0o700 });
  }

  /** Nothing is at `memoryDirectory` afterwards; absent is fine. */
  async discard(memoryDirectory: string): Promise<void> {
    const files = await readdir(memoryDirectory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (files === undefined) return;
    const mib = await sizeMiB(files.map((file) => path.join(memoryDirectory, file)));
    const discarded = path.join(this.directory, randomBytes(8).toString('hex'));
    await rename(memoryDirectory, discarded);
    const freeing = removeAll(discarded)
      .catch((error: unknown) => this.log.warn({ err: error }, 'memory that is not needed any more could not be freed'))
      .finally(() => this.#freeing.delete(freeing));
    this.#freeing.set(freeing, mib);
  }

  /** What is not free yet, MiB. */
  get heldMiB(): number {
    return [...this.#freeing.values()].reduce((sum, mib) => sum + mib, 0);
  }

  /** Resolves when all of it is free. @returns whether there was anything to wait for */
  async settled(): Promise<boolean> {
    const waited = this.#freeing.size > 0;
    await Promise.all(this.#freeing.keys());
    return waited;
  }
}

/** Also what a hostile QEMU has nested so deep that no path reaches it. */
async function removeAll(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true }).catch(() => execa('rm', ['-rf', '--', directory]));
}

/** Whatever names a hostile QEMU may put there. */
async function sizeMiB(files: string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      lstat(file).then(
        ({ blocks }) => blocks * 512,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, bytes) => sum + bytes, 0) / MIB;
}
