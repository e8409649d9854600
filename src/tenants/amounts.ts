import { QUOTAS, type QuotaName } from './limits.js';
import type { AwakeSandbox, TenantUse } from './use.js';

export type Amounts = Record<QuotaName, number>;

/** Something that is about to take up a part of a tenant's quotas, or is doing so. */
export interface Claim extends Omit<AwakeSandbox, 'id'> {
  kind: 'create' | 'resume' | 'pause';
  /** Of the sandbox; absent while it is not known which warm machine it becomes. */
  id?: string;
  /** Of a resume: what its sandbox counted for while it slept, when it was decided on; absent: as if nothing. */
  asleepBytes?: number;
}

const NOTHING: Amounts = {
  ...{ runningSandboxes: 0, cpus: 0, memoryMiB: 0, diskMiB: 0 },
  ...{ sleepingSandboxes: 0, sleepingMiB: 0 },
};
const MIB = 1024 * 1024;

/** What a tenant uses, with what is being claimed. */
export function amountsOf(use: TenantUse, claims: readonly Claim[] = []): Amounts {
  const awake = new Map(use.awake.map((sandbox) => [sandbox.id, sandbox]));
  const { starts, pauses, unnamed } = oncePerSandbox(claims);
  const sum: Amounts = {
    ...NOTHING,
    sleepingSandboxes: use.asleep.count,
    sleepingMiB: use.asleep.bytes / MIB,
    diskMiB: use.asleep.diskMiB,
  };
  for (const sandbox of use.awake) add(sum, ofAwake(sandbox));
  for (const [id, claim] of starts) add(sum, shareOfStart(claim, awake.get(id)));
  for (const id of pauses) add(sum, shareOfPause(awake.get(id), starts.get(id)));
  for (const claim of unnamed) add(sum, ofAwake(claim));
  return { ...sum, sleepingMiB: Math.ceil(sum.sleepingMiB) };
}

/** Several starts of one sandbox are one, and after each of them its timeout may pause it. */
function oncePerSandbox(claims: readonly Claim[]) {
  const [starts, pauses, unnamed] = [new Map<string, Claim>(), new Set<string>(), [] as Claim[]];
  for (const claim of claims) {
    const { kind, id } = claim;
    if (id === undefined) unnamed.push(claim);
    else if (kind === 'pause') pauses.add(id);
    else {
      const { asleepBytes, ...known } = starts.get(id) ?? claim;
      const bytes = asleepBytes ?? claim.asleepBytes;
      const fallsAsleep = known.fallsAsleep || claim.fallsAsleep;
      starts.set(id, { ...known, fallsAsleep, ...(bytes === undefined ? {} : { asleepBytes: bytes }) });
    }
  }
  return { starts, pauses, unnamed };
}

/**
 * What a create or a resume takes up beside what its sandbox does. One that is awake takes up what it claims, but for a
 * place among the sleeping that it gets only now.
 */
function shareOfStart(claim: Claim, sandbox: AwakeSandbox | undefined): Amounts {
  if (sandbox !== undefined) return claim.fallsAsleep && !sandbox.fallsAsleep ? asleepOnce(sandbox) : NOTHING;
  if (claim.kind === 'create') return ofAwake(claim);
  const { cpus, memoryMiB } = claim;
  return { ...(claim.fallsAsleep ? grownAsleep(claim) : NOTHING), runningSandboxes: 1, cpus, memoryMiB };
}

/** One that is neither awake nor being started has been paused, and counts as asleep. */
function shareOfPause(sandbox: AwakeSandbox | undefined, start: Claim | undefined): Amounts {
  if (sandbox?.fallsAsleep === true || start?.fallsAsleep === true) return NOTHING;
  if (sandbox !== undefined) return asleepOnce(sandbox);
  if (start === undefined) return NOTHING;
  return start.kind === 'create' ? asleepOnce(start) : grownAsleep(start);
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

/** It sleeps now, and has its place; its next image may come to be as large as its memory, whatever the last one is. */
const grownAsleep = ({ memoryMiB, asleepBytes = 0 }: Claim): Amounts => ({
  ...NOTHING,
  sleepingMiB: Math.max(0, memoryMiB - asleepBytes / MIB),
});

/** A claim as it is decided on, and held from then on. */
export function decidedOn(claim: Claim, { asleep }: TenantUse): Claim {
  const asleepBytes = claim.kind === 'resume' && claim.id !== undefined ? asleep.bytesOf?.[claim.id] : undefined;
  return asleepBytes === undefined ? claim : { ...claim, asleepBytes };
}

function add(sum: Amounts, more: Amounts): void {
  for (const name of QUOTAS) sum[name] += more[name];
}
