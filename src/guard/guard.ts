import { isAbsent, readTable, type GuardTable } from './nft.js';
import { fingerprint, guardRules, ruleset, type GuardRules } from './rules.js';
import { onHost, type Run } from './run.js';

/** The network guard of this host's guests: an nftables table of our own. */
export interface NetworkGuard {
  /**
   * Sees to it that the rules are in place, in one transaction; who has no internet stays so.
   *
   * @param isOpen called as soon as it is known that guests are not guarded at the moment
   * @returns what had to be put right
   * @throws Error when the rules may not be in place
   */
  ensure(isOpen?: () => void): Promise<string | undefined>;
  remove(): Promise<void>;
  /** Changes nothing. @throws Error when the rules are not in place, or not these. */
  check(): Promise<void>;
  /** Before a guest of this user runs: its rule is as wanted, among rules that are in place. @throws as `ensure` does. */
  setInternet(uid: number, allowed: boolean): Promise<void>;
  /** Nothing is left of a user that had no internet; also when the rules are not in place. */
  forget(uid: number): Promise<void>;
}

export interface GuardOptions {
  /** The rules of the moment: they may change with the host's resolvers. */
  wanted: () => Promise<GuardRules>;
  /** Users of guests that run and have no internet. */
  noInternet?: Iterable<number>;
  run?: Run;
}

export function openGuard({ wanted, noInternet = [], run = onHost }: GuardOptions): NetworkGuard {
  /** Survives a loss of the table, which is where other host workers of the machine have theirs, too. */
  const denied = new Set(noInternet);
  /** What nft lists of a table that this process has put in place itself. */
  let digest: string | undefined;
  const inTurn = turns();

  const change = (table: string, verb: 'add' | 'delete', uid: number): Promise<unknown> =>
    run('nft', [verb, 'element', 'inet', table, 'no_internet', `{ ${uid} }`]);

  const install = async (rules: GuardRules, now: GuardTable | undefined): Promise<GuardTable> => {
    const everyone = new Set([...denied, ...(now?.noInternet ?? [])]);
    await run('nft', ['-f', '-'], ruleset(rules, [...everyone]));
    const installed = await readTable(rules.table, run);
    const wrong = differs(installed, rules);
    if (installed === undefined || wrong !== undefined)
      throw new Error(`${named(rules)} ${wrong}, right after it was put in place`);
    digest = installed.digest;
    return installed;
  };

  const ensure = async (isOpen?: () => void): Promise<{ table: GuardTable; putRight?: string }> => {
    const rules = await wanted();
    const now = await readTable(rules.table, run);
    const broken = damage(now, digest, denied);
    if (broken !== undefined) isOpen?.();
    const wrong = broken ?? differs(now, rules) ?? (digest === undefined ? 'was not known yet' : undefined);
    if (now !== undefined && wrong === undefined) return { table: now };
    return { table: await install(rules, now), putRight: `${named(rules)} ${wrong}` };
  };

  return {
    ensure: (isOpen) => inTurn(async () => (await ensure(isOpen)).putRight),
    remove: () =>
      inTurn(async () => {
        const { table } = await wanted();
        await run('nft', ['-f', '-'], `table inet ${table}\ndelete table inet ${table}\n`);
      }),
    async check() {
      const rules = await wanted();
      const now = await readTable(rules.table, run);
      const wrong = damage(now, digest, denied) ?? differs(now, rules);
      if (wrong !== undefined) throw new Error(`${named(rules)} ${wrong}. The host worker puts it in place.`);
    },
    setInternet: (uid, allowed) =>
      inTurn(async () => {
        const { noInternet: cutOff } = (await ensure()).table;
        if (allowed) denied.delete(uid);
        else denied.add(uid);
        if (cutOff.includes(uid) !== allowed) return;
        await change((await wanted()).table, allowed ? 'delete' : 'add', uid);
      }),
    forget: (uid) =>
      inTurn(async () => {
        denied.delete(uid);
        await change((await wanted()).table, 'delete', uid).catch(unlessAbsent);
      }),
  };
}

const named = ({ table }: GuardRules): string => `the network guard (nftables table inet ${table})`;

/** What somebody has done to the table that was put in place. */
function damage(
  now: GuardTable | undefined,
  digest: string | undefined,
  denied: ReadonlySet<number>,
): string | undefined {
  if (now === undefined) return 'is not there';
  if (digest !== undefined && now.digest !== digest) return 'is not as it was put in place';
  if ([...denied].some((uid) => !now.noInternet.includes(uid))) return 'has lost guests that have no internet';
  return undefined;
}

/** How a table differs from the rules that are wanted, as far as it says so itself. */
function differs(now: GuardTable | undefined, rules: GuardRules): string | undefined {
  if (now === undefined) return 'is not there';
  const same = now.comment === fingerprint(rules) && now.ruleCount === guardRules(rules).length + 1;
  return same ? undefined : 'is not as it should be';
}

function unlessAbsent(error: unknown): void {
  if (!isAbsent(error)) throw error;
}

/** One after the other, in the order of the calls. */
function turns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  };
}
