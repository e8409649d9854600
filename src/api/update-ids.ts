import { codeOf } from './errors.js';

const MOST_REMEMBERED = 10_000;

/**
 * Names of updates: `<verb>:<generation>`, so that a request sent again (by an impatient client, or to another api)
 * joins the first instead of starting over. An attempt that failed gives its name up, since Temporal would answer with
 * the old failure for ever.
 */
export class UpdateIds {
  readonly #failures = new Map<string, number>();

  /** Runs `work` with the name of the current attempt. */
  async run<T>(
    sandboxId: string,
    verb: string,
    generation: number,
    work: (updateId: string) => Promise<T>,
  ): Promise<T> {
    const name = `${verb}:${generation}`;
    const key = `${sandboxId} ${name}`;
    const failures = this.#failures.get(key) ?? 0;
    try {
      return await work(failures === 0 ? name : `${name}:${failures}`);
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'OutcomeUnknown' && code !== 'Unavailable') {
        if (this.#failures.size >= MOST_REMEMBERED) this.#failures.clear();
        this.#failures.set(key, failures + 1);
      }
      throw error;
    }
  }
}
