import { codeOf } from './errors.js';

const MOST_REMEMBERED = 10_000;

/**
 * Names of updates: `<verb>:<generation>`, so that a request sent again (by an impatient client, or to another api)
 * joins the first instead of starting over. An attempt that was answered gives its name up: Temporal would give the same
 * answer for ever, a failure or (where a pause only called off a connect, at the same generation) a success.
 */
export class UpdateIds {
  readonly #answered = new Map<string, number>();

  /** Runs `work` with the name of the current attempt. */
  async run<T>(
    sandboxId: string,
    verb: string,
    generation: number,
    work: (updateId: string) => Promise<T>,
  ): Promise<T> {
    const name = `${verb}:${generation}`;
    const key = `${sandboxId} ${name}`;
    const before = this.#answered.get(key) ?? 0;
    try {
      const answer = await work(before === 0 ? name : `${name}:${before}`);
      this.#giveUp(key, before + 1);
      return answer;
    } catch (error) {
      const code = codeOf(error);
      const isOpen = code === 'OutcomeUnknown' || code === 'Unavailable';
      if (!isOpen || isAnswer(error)) this.#giveUp(key, before + 1);
      throw error;
    }
  }

  #giveUp(key: string, attempts: number): void {
    const oldest = this.#answered.keys().next();
    if (this.#answered.size >= MOST_REMEMBERED && oldest.done !== true) this.#answered.delete(oldest.value);
    this.#answered.set(key, attempts);
  }
}

/** The workflow itself does not know: that is what the update of this name would say from now on. */
const isAnswer = (error: unknown): boolean => (error as { isAnswer?: unknown }).isAnswer === true;
