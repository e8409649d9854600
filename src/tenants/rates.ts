import type { Limits } from './limits.js';
import { takeToken, type Bucket } from './rate.js';

const PER_MS = { createsPerMinute: 60_000, requestsPerSecond: 1_000 } as const;

export type RateName = keyof typeof PER_MS;

/** The rates of tenants, counted in this process. */
export class TenantRates {
  readonly #buckets = new Map<string, Bucket>();

  /** @param now milliseconds that never go back */
  constructor(
    private readonly limitsOf: (tenant: string) => Limits,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** @returns after how many milliseconds there is room again; 0: there is, and it is taken. */
  take(tenant: string, rate: RateName): number {
    const count = this.limitsOf(tenant)[rate];
    if (count === null) return 0;
    const name = `${rate} ${tenant}`;
    const { bucket, waitMs } = takeToken(this.#buckets.get(name), { count, perMs: PER_MS[rate] }, this.now());
    this.#buckets.set(name, bucket);
    return waitMs;
  }
}
