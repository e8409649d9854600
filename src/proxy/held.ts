import { forStrangers, type Whose } from '../gateway/wire.js';

/** Counts what is held for each sleeping sandbox: such requests have not come to its gateway, which counts the others. */
export class Held {
  readonly #counts = new Map<string, Record<Whose, number>>();

  constructor(private readonly limit: number) {}

  /** How many requests of all, or of strangers, may be held for one sandbox. */
  limitFor(whose: Whose): number {
    return whose === 'owner' ? this.limit : forStrangers(this.limit);
  }

  /** @returns false when there are as many already as a sandbox may have. */
  enter(id: string, whose: Whose): boolean {
    const { owner, stranger } = this.#counts.get(id) ?? { owner: 0, stranger: 0 };
    if (owner + stranger >= this.limit || (whose === 'stranger' && stranger >= this.limitFor(whose))) return false;
    const next = { owner, stranger };
    next[whose] += 1;
    this.#counts.set(id, next);
    return true;
  }

  leave(id: string, whose: Whose): void {
    const counts = this.#counts.get(id);
    if (counts === undefined) return;
    counts[whose] -= 1;
    if (counts.owner + counts.stranger === 0) this.#counts.delete(id);
  }
}
