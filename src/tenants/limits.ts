import { z } from 'zod';

/** The quotas of a tenant: amounts that are taken up and given back. Checked in this order. */
export const QUOTAS = ['runningSandboxes', 'cpus', 'memoryMiB', 'diskMiB', 'sleepingSandboxes', 'sleepingMiB'] as const;
export type QuotaName = (typeof QUOTAS)[number];

const RATES = ['createsPerMinute', 'requestsPerSecond', 'connections'] as const;
export type LimitName = QuotaName | (typeof RATES)[number];

/** What a tenant may use; null: as much as there is. */
export type Limits = Record<LimitName, number | null>;
/** What an operator set for one tenant; what is absent is as the configuration says. */
export type OwnLimits = Partial<Limits>;

const whole = z.number('expected a number, null for no limit, or "default"').int('expected a whole number').max(1e12);
const none = z.null();

const quota = z.union([none, whole.min(0, 'expected no negative number')]);
/** Nobody could do anything with none, not even look why. */
const rate = z.union([none, whole.min(1, 'expected at least 1')]);

const shape = {
  ...(Object.fromEntries(QUOTAS.map((name) => [name, quota])) as Record<QuotaName, typeof quota>),
  ...(Object.fromEntries(RATES.map((name) => [name, rate])) as Record<(typeof RATES)[number], typeof rate>),
};

export const ownLimits = z.strictObject(shape).partial();

/** A change: what is absent stays, `"default"` goes back to the configuration's. */
export const limitsChange = z
  .strictObject(
    Object.fromEntries(
      Object.entries(shape).map(([name, limit]) => [name, z.union([z.literal('default'), limit])]),
    ) as Record<LimitName, z.ZodUnion<[z.ZodLiteral<'default'>, typeof quota]>>,
  )
  .partial();
export type LimitsChange = z.output<typeof limitsChange>;

export const effectiveLimits = (defaults: Limits, own: OwnLimits = {}): Limits =>
  ({ ...defaults, ...(own as Partial<Limits>) }) as Limits;

export function changedLimits(own: OwnLimits, change: LimitsChange): OwnLimits {
  const next: Record<string, number | null> = { ...own };
  for (const [name, limit] of Object.entries(change)) {
    if (limit === 'default') delete next[name];
    else if (limit !== undefined) next[name] = limit;
  }
  return next as OwnLimits;
}
