import { QUOTAS, type Limits, type QuotaName } from './limits.js';
import type { AwakeSandbox, TenantUse } from './use.js';

export type Amounts = Record<QuotaName, number>;

/** Something that is about to take up a part of a tenant's quotas, or is doing so. */
export interface Claim extends Omit<AwakeSandbox, 'id'> {
  kind: 'create' | 'resume' | 'pause';
  /** Of the sandbox; absent while it is not known which warm machine it becomes. */
  id?: string;
}

export interface FullQuota {
  quota: QuotaName;
  limit: number;
  used: number;
  /** How much more was asked for. */
  wanted: number;
}

const NOTHING: Amounts = {
  ...{ runningSandboxes: 0, cpus: 0, memoryMiB: 0, diskMiB: 0 },
  ...{ sleepingSandboxes: 0, sleepingMiB: 0 },
};
const MIB = 1024 * 1024;

/** What a tenant uses, with what is being claimed. */
export function amountsOf(use: TenantUse, claims: readonly Claim[] = []): Amounts {
  const awake = new Map(use.awake.map((sandbox) => [sandbox.id, sandbox]));
  const claimed = new Set<string>();
  const once = claims.filter(({ kind, id }) => {
    const name = id === undefined ? undefined : `${kind === 'pause' ? 'pause' : 'start'} ${id}`;
    if (name === undefined || claimed.has(name)) return name === undefined;
    claimed.add(name);
    return true;
  });
  const sum: Amounts = {
    ...NOTHING,
    sleepingSandboxes: use.asleep.count,
    sleepingMiB: Math.ceil(use.asleep.bytes / MIB),
    diskMiB: use.asleep.diskMiB,
  };
  for (const sandbox of use.awake) add(sum, ofAwake(sandbox));
  for (const claim of once) add(sum, shareOf(claim, awake));
  return sum;
}

/**
 * What a claim takes up beside what its sandbox does. A sandbox that is awake takes up what a create or a resume of it
 * claims; one that is no longer awake has been paused, and counts as asleep.
 */
function shareOf(claim: Claim, awake: ReadonlyMap<string, AwakeSandbox>): Amounts {
  const sandbox = claim.id === undefined ? undefined : awake.get(claim.id);
  if (claim.kind === 'pause') {
    return sandbox === undefined || sandbox.fallsAsleep ? NOTHING : asleepOnce(sandbox);
  }
  if (sandbox !== undefined) return NOTHING;
  const { cpus, memoryMiB } = claim;
  return claim.kind === 'create' ? ofAwake(claim) : { ...NOTHING, runningSandboxes: 1, cpus, memoryMiB };
}

const ofAwake = ({ cpus, memoryMiB, diskMiB, fallsAsleep }: Omit<AwakeSandbox, 'id'>): Amounts => ({
  ...(fallsAsleep ? asleepOnce({ memoryMiB }) : NOTHING),
  ...{ runningSandboxes: 1, cpus, memoryMiB, diskMiB },
});

/** Its image may come to be as large as its memory. */
const asleepOnce = ({ memoryMiB }: Pick<AwakeSandbox, 'memoryMiB'>): Amounts => ({
  ...NOTHING,
  ...{ sleepingSandboxes: 1, sleepingMiB: memoryMiB },
});

function add(sum: Amounts, more: Amounts): void {
  for (const name of QUOTAS) sum[name] += more[name];
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
