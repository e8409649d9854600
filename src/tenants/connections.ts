/** The owner's have shown a key or a token of the tenant; strangers visit a public port. */
export interface OpenConnections {
  owner: number;
  stranger: number;
}

/** A quarter is kept for the owner: visitors must not lock them out. */
const mostOfStrangers = (limit: number): number => Math.max(1, limit - Math.ceil(limit / 4));

/** Whether one more may be opened. */
export const mayOpen = (open: OpenConnections, limit: number, whose: keyof OpenConnections): boolean =>
  open.owner + open.stranger < limit && (whose === 'owner' || open.stranger < mostOfStrangers(limit));

/** Counts what each tenant has open, in this process. */
export class TenantConnections {
  readonly #open = new Map<string, OpenConnections>();

  constructor(private readonly limitOf: (tenant: string) => number | null) {}

  /** @returns false when the tenant has as many as it may; else `leave` has to follow. */
  enter(tenant: string, whose: keyof OpenConnections): boolean {
    const open = this.#open.get(tenant) ?? { owner: 0, stranger: 0 };
    const limit = this.limitOf(tenant);
    if (limit !== null && !mayOpen(open, limit, whose)) return false;
    this.#open.set(tenant, { ...open, [whose]: open[whose] + 1 });
    return true;
  }

  leave(tenant: string, whose: keyof OpenConnections): void {
    const open = this.#open.get(tenant);
    if (open === undefined) return;
    const next = { ...open, [whose]: open[whose] - 1 };
    if (next.owner + next.stranger <= 0) this.#open.delete(tenant);
    else this.#open.set(tenant, next);
  }

  countOf(tenant: string): number {
    const open = this.#open.get(tenant);
    return open === undefined ? 0 : open.owner + open.stranger;
  }
}
