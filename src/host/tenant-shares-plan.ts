/** A guest that runs. */
export interface RunningGuest {
  id: string;
  tenant: string;
  /** It has used a good part of a core since the last look. */
  isBusy: boolean;
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
