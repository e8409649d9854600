import pLimit from 'p-limit';
import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';

/** All searches together may take a fifth of this process's time, however slow the machine is. */
const WINDOW_SECONDS = 10;
const MOST_MS_IN_WINDOW = 2_000;
/** Clients that have shown more than so many wrong ones lately leave this part of the time to all others. */
const FEW_WRONG = 3;
const MS_FOR_ALL_OTHERS = 1_000;
/** Signatures of nobody per client and minute. */
const MOST_WRONG_PER_MINUTE = 30;

const ALL = 'all';

export type Searched = { id: string | undefined } | { waitSeconds: number };

/** Bounds what the search for a signature's sandbox may cost: whoever has no signature must not burn our time. */
export class SearchLimits {
  readonly #wrong = new RateLimiterMemory({ points: MOST_WRONG_PER_MINUTE, duration: 60 });
  readonly #spentMs = new RateLimiterMemory({ points: MOST_MS_IN_WINDOW, duration: WINDOW_SECONDS });
  /** The time of one counts before the next begins. */
  readonly #oneAfterTheOther = pLimit(1);

  /** @param now milliseconds that never go back */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /**
   * Runs `search` if it may be run now. It counts as wrong until it has found something: many at once cannot slip
   * through.
   *
   * @param search returns the id that it found
   * @param complete whether all hosts were searched; else a signature that is not found does not count as wrong
   */
  async run(address: string, search: () => string | undefined, complete = true): Promise<Searched> {
    const client = clientOf(address);
    let most = MOST_MS_IN_WINDOW;
    try {
      const { consumedPoints } = await this.#wrong.consume(client);
      if (consumedPoints > FEW_WRONG) most -= MS_FOR_ALL_OTHERS;
    } catch (refused) {
      return { waitSeconds: secondsUntil(refused as RateLimiterRes) };
    }
    const outcome = await this.#oneAfterTheOther(() => this.#inBudget(search, most));
    if ('waitSeconds' in outcome || outcome.id !== undefined || !complete) await this.#wrong.reward(client);
    return outcome;
  }

  async #inBudget(search: () => string | undefined, most: number): Promise<Searched> {
    const spent = await this.#spentMs.get(ALL);
    if (spent !== null && spent.consumedPoints >= most) return { waitSeconds: secondsUntil(spent) };
    const before = this.now();
    const id = search();
    await this.#spentMs.penalty(ALL, Math.ceil(this.now() - before));
    return { id };
  }
}

const secondsUntil = ({ msBeforeNext }: RateLimiterRes): number => Math.max(1, Math.ceil(msBeforeNext / 1_000));

/** Whoever has one IPv6 address has 2^64: these count as one client. */
export function clientOf(address: string): string {
  if (!address.includes(':')) return address;
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1);
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - before.length - after.length)).fill('0');
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`;
}
