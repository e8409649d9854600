/** How many bytes of unfinished frames the gateway may hold for all streams of one sandbox together. */
const MOST_OF_ONE_SANDBOX = 4 * 1024 * 1024;

/** Counts the bytes of unfinished frames. One sandbox cannot take the memory of the process, however many streams it has. */
export class HeldBytes {
  readonly #of = new Map<string, number>();

  /** @returns false when the sandbox holds too many already; then nothing is counted. */
  take(id: string, bytes: number): boolean {
    const held = this.of(id) + bytes;
    if (held > MOST_OF_ONE_SANDBOX) return false;
    this.#of.set(id, held);
    return true;
  }

  give(id: string, bytes: number): void {
    const held = this.of(id) - bytes;
    if (held > 0) this.#of.set(id, held);
    else this.#of.delete(id);
  }

  of(id: string): number {
    return this.#of.get(id) ?? 0;
  }
}
