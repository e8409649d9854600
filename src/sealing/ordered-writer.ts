import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** Writes chunks to a file in the order of their numbers, whatever the order they come in, and hashes the file. */
export class OrderedWriter {
  bytes = 0;
  readonly #hash = createHash('sha256');
  readonly #early = new Map<number, Uint8Array>();
  #next = 0;
  #writing: Promise<void> | undefined;

  constructor(readonly handle: FileHandle) {}

  /** Appends at once, outside the numbering. */
  async append(data: Uint8Array): Promise<void> {
    this.#hash.update(data);
    for (let at = 0; at < data.length;) {
      at += (await this.handle.write(data, at, data.length - at, this.bytes + at)).bytesWritten;
    }
    this.bytes += data.length;
  }

  /** Resolves when nothing that can be written is waiting, so that a caller who awaits it cannot run far ahead. */
  async accept(index: number, data: Uint8Array): Promise<void> {
    this.#early.set(index, data);
    this.#writing ??= this.#writeReady().finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  /** Number of chunks written. @throws Error if a number is missing */
  get written(): number {
    if (this.#early.size > 0) throw new Error('a chunk is missing from the sealed image');
    return this.#next;
  }

  /** SHA-256 of everything written, hex; once, at the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  async #writeReady(): Promise<void> {
    for (;;) {
      const data = this.#early.get(this.#next);
      if (!data) return;
      this.#early.delete(this.#next++);
      await this.append(data);
    }
  }
}
