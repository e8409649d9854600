import type { FileHandle } from 'node:fs/promises';

/** So much is written before it is worth a sync of its own, bytes. */
const EVERY_BYTES = 8 * 1024 * 1024;

/** Syncs a file while it is still being written, one sync at a time, so that the last one has little left to do. */
export class DraftSync {
  #begun = 0;
  #running: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(private readonly handle: FileHandle) {}

  /** @param written bytes so far */
  progress(written: number): void {
    if (this.#running || written - this.#begun < EVERY_BYTES) return;
    this.#begun = written;
    this.#running = this.handle
      .datasync()
      .catch((error: unknown) => void (this.#failure ??= { error }))
      .finally(() => (this.#running = undefined));
  }

  /**
   * Resolves when no sync is running; the file must not be closed before.
   *
   * Danger: the kernel reports a failed write-back once. A failure here must fail the whole, for the sync at the end would
   * succeed without the data.
   */
  async settle(): Promise<void> {
    await this.#running;
    if (this.#failure) throw this.#failure.error;
  }
}
