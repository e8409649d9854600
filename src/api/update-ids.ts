import { codeOf } from './errors.js';
import type { SandboxClient } from './sandbox-client.js';

const MOST_REMEMBERED = 10_000;

/**
 * Names of updates: `<verb>:<generation>`, so that a request sent again (by an impatient client, or to another api)
 * joins the first instead of starting over. An attempt that was answered gives its name up: Temporal would give the same
 * answer for ever, a failure or (where a pause only called off a connect, at the same generation) a success. Another api,
 * or this one before its restart, may have used names, too: Temporal is asked whether the next one has its answer already.
 */
export class UpdateIds {
  /** So many attempts of each name are known to be over. */
  readonly #answered = new Map<string, number>();

  constructor(private readonly client: Pick<SandboxClient, 'isAnswered'>) {}

  /** Runs `work` with the name of the current attempt. */
  async run<T>(
    sandboxId: string,
    verb: string,
    generation: number,
    work: (updateId: string) => Promise<T>,
  ): Promise<T> {
    const name = `${verb}:${generation}`;
    const key = `${sandboxId} ${name}`;
    let before = this.#answered.get(key) ?? 0;
    while (await this.client.isAnswered(sandboxId, attemptOf(name, before))) before += 1;
    try {
      const answer = await work(attemptOf(name, before));
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
    this.#answered.set(key, Math.max(attempts, this.#answered.get(key) ?? 0));
  }
}

const attemptOf = (name: string, before: number): string => (before === 0 ? name : `${name}:${before}`);

/** The workflow itself does not know: that is what the update of this name would say from now on. */
const isAnswer = (error: unknown): boolean => (error as { isAnswer?: unknown }).isAnswer === true;
