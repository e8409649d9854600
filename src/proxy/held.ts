/** Counts what is held for each sleeping sandbox: such requests have not come to its gateway, which counts the others. */
export class Held {
  readonly #counts = new Map<string, number>();

  constructor(readonly limit: number) {}

  /** @returns false when there are as many already as a sandbox may have. */
  enter(id: string): boolean {
    const count = this.#counts.get(id) ?? 0;
    if (count >= this.limit) return false;
    this.#counts.set(id, count + 1);
    return true;
  }

  leave(id: string): void {
    const count = this.#counts.get(id) ?? 0;
    if (count > 1) this.#counts.set(id, count - 1);
    else this.#counts.delete(id);
  }
}
