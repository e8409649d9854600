import { decidedOn, type Claim } from './amounts.js';
import type { Limits } from './limits.js';
import { fullQuota, hasQuota, textOfFull, type FullQuota } from './quota.js';
import type { TenantUse } from './use.js';

/** A claim whose outcome nobody knows counts until its sandbox is seen, or for so long. */
const UNKNOWN_FOR_MS = 300_000;
/** Decided on one look at the hosts, in whose address stand the ids of those that sleep. */
const MOST_AT_ONCE = 250;

/** A quota has no room; `code` is of `workflows/errors.ts`. */
export class QuotaExceeded extends Error {
  override readonly name = 'QuotaExceeded';
  readonly code = 'QuotaExceeded';

  constructor(readonly full: FullQuota) {
    super(textOfFull(full));
  }
}

/** What was claimed counts until one of its ends is told. */
export interface Admitted {
  /** Which sandbox it has come to be. */
  isOf(id: string): void;
  /** The hosts' indexes show what came of it. */
  done(): void;
  /** Nothing came of it. */
  failed(): void;
  /** Something may yet come of it. */
  unknown(): void;
}

interface Held {
  claim: Claim;
  mayEnd: boolean;
}

interface Tenant {
  held: Set<Held>;
  /** What was done while the hosts are being asked: their answer may be from before it. */
  doneMeanwhile: Held[];
  waiting: { claim: Claim; resolve(admitted: Admitted): void; reject(error: unknown): void }[];
  deciding: boolean;
}

/**
 * Lets a tenant take up what its quotas have room for, however many ask at once: each is decided on what the hosts say and
 * on all that was let in before and is not done. Counts for one api process; several need one that they share.
 */
export class Admission {
  readonly #tenants = new Map<string, Tenant>();

  /** @param useOf what the hosts know of a tenant's sandboxes, of some what each counts for asleep; not from before the call */
  constructor(
    private readonly limitsOf: (tenant: string) => Limits,
    private readonly useOf: (tenant: string, asleep: readonly string[]) => Promise<TenantUse>,
  ) {}

  /** @throws QuotaExceeded when there is no room; what `useOf` throws */
  admit(name: string, claim: Claim): Promise<Admitted> {
    const tenant = this.#tenant(name);
    if (!hasQuota(this.limitsOf(name))) return Promise.resolve(this.#hold(name, tenant, claim));
    return new Promise((resolve, reject) => {
      tenant.waiting.push({ claim, resolve, reject });
      if (!tenant.deciding) void this.#decide(name, tenant);
    });
  }

  /** It was killed: a claim on it that nobody knew the outcome of counts no more. */
  ended(name: string, id: string): void {
    const tenant = this.#tenants.get(name);
    for (const one of tenant?.held ?? []) if (one.mayEnd && one.claim.id === id) tenant?.held.delete(one);
    this.#tidy(name);
  }

  /** What is claimed now. */
  claimsOf(name: string): Claim[] {
    return [...(this.#tenants.get(name)?.held ?? [])].map(({ claim }) => claim);
  }

  /** Those that wait share one look at the hosts; who comes while it goes on waits for the next. */
  async #decide(name: string, tenant: Tenant): Promise<void> {
    tenant.deciding = true;
    while (tenant.waiting.length > 0) {
      const batch = tenant.waiting.splice(0, MOST_AT_ONCE);
      tenant.doneMeanwhile = [];
      try {
        const use = await this.useOf(name, resumedBy(batch));
        dropSeen(tenant, use);
        for (const { claim: asked, resolve, reject } of batch) {
          const claim = decidedOn(asked, use);
          const claims = [...tenant.held, ...tenant.doneMeanwhile].map((one) => one.claim);
          const full = fullQuota(this.limitsOf(name), use, claims, claim);
          if (full === undefined) resolve(this.#hold(name, tenant, claim));
          else reject(new QuotaExceeded(full));
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    tenant.deciding = false;
    this.#tidy(name);
  }

  #hold(name: string, tenant: Tenant, claim: Claim): Admitted {
    const held: Held = { claim: { ...claim }, mayEnd: false };
    tenant.held.add(held);
    const drop = (): void => {
      tenant.held.delete(held);
      this.#tidy(name);
    };
    return {
      isOf: (id) => void (held.claim.id = id),
      done: () => {
        if (tenant.deciding) tenant.doneMeanwhile.push(held);
        drop();
      },
      failed: drop,
      unknown: () => {
        held.mayEnd = true;
        setTimeout(drop, UNKNOWN_FOR_MS).unref();
      },
    };
  }

  #tenant(name: string): Tenant {
    const known = this.#tenants.get(name);
    if (known !== undefined) return known;
    const tenant: Tenant = { held: new Set(), doneMeanwhile: [], waiting: [], deciding: false };
    this.#tenants.set(name, tenant);
    return tenant;
  }

  #tidy(name: string): void {
    const tenant = this.#tenants.get(name);
    if (tenant?.held.size === 0 && tenant.waiting.length === 0 && !tenant.deciding) this.#tenants.delete(name);
  }
}

const resumedBy = (batch: readonly { claim: Claim }[]): string[] => [
  ...new Set(batch.flatMap(({ claim: { kind, id } }) => (kind === 'resume' && id !== undefined ? [id] : []))),
];

/** The hosts speak for a sandbox that they show awake, also when it ends. */
function dropSeen(tenant: Tenant, use: TenantUse): void {
  const awake = new Set(use.awake.map(({ id }) => id));
  for (const one of tenant.held) {
    const { kind, id } = one.claim;
    if (one.mayEnd && id !== undefined && awake.has(id) === (kind !== 'pause')) tenant.held.delete(one);
  }
}
