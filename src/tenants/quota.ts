import { amountsOf, type Claim } from './amounts.js';
import { QUOTAS, type Limits, type QuotaName } from './limits.js';
import type { TenantUse } from './use.js';

export interface FullQuota {
  quota: QuotaName;
  limit: number;
  used: number;
  /** How much more was asked for. */
  wanted: number;
}

/** The first quota that has no room for what is wanted; undefined: all have. What takes up nothing more always has room. */
export function fullQuota(
  limits: Limits,
  use: TenantUse,
  claims: readonly Claim[],
  wanted: Claim,
): FullQuota | undefined {
  const before = amountsOf(use, claims);
  const after = amountsOf(use, [...claims, wanted]);
  for (const quota of QUOTAS) {
    const limit = limits[quota];
    const more = after[quota] - before[quota];
    if (limit !== null && more > 0 && after[quota] > limit) {
      return { quota, limit, used: before[quota], wanted: more };
    }
  }
  return undefined;
}

/** Whether anything has to be measured at all. */
export const hasQuota = (limits: Limits): boolean => QUOTAS.some((name) => limits[name] !== null);

const TEXTS: Record<QuotaName, { what: string; frees: string }> = {
  runningSandboxes: { what: 'running sandboxes', frees: 'Kill or pause a running sandbox' },
  cpus: { what: 'virtual CPUs', frees: 'Kill or pause a running sandbox' },
  memoryMiB: { what: 'MiB of memory', frees: 'Kill or pause a running sandbox' },
  diskMiB: { what: 'MiB of disk', frees: 'Kill a sandbox, running or paused' },
  sleepingSandboxes: {
    what: 'paused sandboxes (those that their timeout will pause count)',
    frees: 'Kill a paused sandbox, or one that its timeout will pause',
  },
  sleepingMiB: {
    what: 'MiB of paused memory (those that their timeout will pause count)',
    frees: 'Kill a paused sandbox, or one that its timeout will pause',
  },
};

/** For the tenant: which quota, how much of it is used, and what frees it. */
export function textOfFull({ quota, limit, used, wanted }: FullQuota): string {
  const { what, frees } = TEXTS[quota];
  return (
    `your quota of ${what} is full: ${used} of ${limit} are used, and this needs ${wanted} more. Nothing was changed. ` +
    `${frees} to free some, or ask the operator of this service for more; waiting alone frees nothing.`
  );
}
