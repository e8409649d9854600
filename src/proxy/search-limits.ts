import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible';

/** Sandboxes tried per second, by all clients together: about a fifth of a core. */
const MOST_TRIED_PER_SECOND = 30_000;
/** Signatures of nobody per client and minute. */
const MOST_WRONG_PER_MINUTE = 30;

const ALL = 'all';

/** Bounds what the search for a signature's sandbox may cost: whoever has no signature must not burn our time. */
export class SearchLimits {
  readonly #wrong = new RateLimiterMemory({ points: MOST_WRONG_PER_MINUTE, duration: 60 });
  readonly #tried = new RateLimiterMemory({ points: MOST_TRIED_PER_SECOND, duration: 1 });

  /**
   * Asked before every search. It counts as wrong until `found` says otherwise: many at once cannot slip through.
   *
   * @returns seconds to wait when it may not be made now
   */
  async admit(address: string, candidates: number): Promise<number | undefined> {
    const client = clientOf(address);
    const wrong = await late(this.#wrong.consume(client));
    if (wrong !== undefined) return wrong;
    const tried = await late(this.#tried.consume(ALL, candidates));
    if (tried !== undefined) await this.#wrong.reward(client);
    return tried;
  }

  async found(address: string): Promise<void> {
    await this.#wrong.reward(clientOf(address));
  }
}

const late = (consumed: Promise<unknown>): Promise<number | undefined> =>
  consumed.then(
    () => undefined,
    (refused: RateLimiterRes) => Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)),
  );

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
