import { onHost, type Run } from './run.js';
import type { GuardRules } from './rules.js';
import { isBeforeLocal, PROTOCOL, oursIn, wallBatch, wallRules, type Family, type RoutingRule } from './wall-rules.js';

/**
 * The wall behind the network guard: rules of routing. They are not part of the kernel's packet filter, so whoever flushes
 * or replaces that leaves them alone.
 */
export interface Wall {
  /** Sees to it that the rules are in place. @returns what had to be put right. @throws Error when they may not be in place */
  ensure(): Promise<string | undefined>;
  remove(): Promise<void>;
}

export function openWall({ wanted, run = onHost }: { wanted: () => Promise<GuardRules>; run?: Run }): Wall {
  /** By family: the rules that this process has put in place, and how they are listed. */
  const placed = new Map<Family, { rules: string; listed: string }>();
  let families: Promise<Family[]> | undefined;

  const list = async (family: Family): Promise<RoutingRule[]> =>
    JSON.parse((await run('ip', [`-${family}`, '-N', '-j', 'rule', 'list'])) || '[]') as RoutingRule[];

  const put = async (family: Family, now: RoutingRule[], rules: string[]): Promise<RoutingRule[]> => {
    await run('ip', [`-${family}`, '-batch', '-'], wallBatch(now, rules));
    return list(family);
  };

  const ensure = async (family: Family): Promise<string | undefined> => {
    const rules = wallRules(await wanted(), family);
    const now = await list(family);
    const before = placed.get(family);
    const inPlace = isBeforeLocal(now) && before?.listed === oursIn(now);
    if (inPlace && before?.rules === rules.join('\n')) return undefined;
    const after = await put(family, now, rules);
    if (!isBeforeLocal(after)) throw new Error(`rules of routing (ip -${family} rule) are not where they were put`);
    placed.set(family, { rules: rules.join('\n'), listed: oursIn(after) });
    return `rules of routing (ip -${family} rule) ${inPlace ? 'were those of other resolvers' : 'were not in place'}`;
  };

  return {
    async ensure() {
      const did: string[] = [];
      for (const family of await (families ??= familiesOf(run))) {
        const putRight = await ensure(family);
        if (putRight !== undefined) did.push(putRight);
      }
      return did.length === 0 ? undefined : did.join('; ');
    },
    async remove() {
      for (const family of await familiesOf(run)) {
        const now = await list(family);
        await put(family, now, []);
        await run('ip', [`-${family}`, 'rule', 'del', 'protocol', String(PROTOCOL)]);
        placed.delete(family);
      }
    },
  };
}

/** A kernel may be without IPv6. */
const familiesOf = async (run: Run): Promise<Family[]> => {
  const found = await run('sh', ['-c', 'test ! -e /proc/net/if_inet6 || echo there']);
  return found.includes('there') ? [4, 6] : [4];
};
