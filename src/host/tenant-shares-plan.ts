/** A guest that runs. */
export interface RunningGuest {
  id: string;
  tenant: string;
  /** It has used a good part of a core, or its disk, since the last look. */
  isBusy: boolean;
}

/** What a guest's machine has used since it began, at one moment of a clock in ms. */
export interface Used {
  at: number;
  cpuSeconds: number;
  /** Absent: not known. */
  disk?: { bytes: number; requests: number };
}

/** An idle guest takes some hundredths of a core under emulation. */
const BUSY_CORES = 0.2;
/** One that writes little and asks for each write to be kept moves few bytes, and the disk is busy with it. */
const BUSY_DISK_REQUESTS = 20;
const BUSY_DISK_BYTES = 1024 * 1024;

/** Whether it works: on a processor or, which takes hardly any of it, on its disk. */
export function isBusy(before: Used | undefined, now: Used): boolean {
  if (before === undefined || now.at <= before.at) return false;
  const perSecond = (more: number): number => (more / (now.at - before.at)) * 1000;
  if (perSecond(now.cpuSeconds - before.cpuSeconds) > BUSY_CORES) return true;
  if (before.disk === undefined || now.disk === undefined) return false;
  const bytes = perSecond(now.disk.bytes - before.disk.bytes);
  return bytes > BUSY_DISK_BYTES || perSecond(now.disk.requests - before.disk.requests) > BUSY_DISK_REQUESTS;
}

/**
 * What part of a tenant's weight each guest has: all of it, divided among the tenant's guests that work. So tenants share the
 * host equally, however many guests each of them runs, and one busy guest beside many idle ones has the whole of its tenant's part.
 */
export function sharesOf(guests: readonly RunningGuest[]): Map<string, number> {
  const busy = new Map<string, number>();
  for (const { tenant, isBusy } of guests) busy.set(tenant, (busy.get(tenant) ?? 0) + (isBusy ? 1 : 0));
  return new Map(guests.map(({ id, tenant }) => [id, 1 / Math.max(1, busy.get(tenant) ?? 0)]));
}
