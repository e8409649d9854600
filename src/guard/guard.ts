import { nft, NftError, readTable, type GuardTable } from './nft.js';
import { fingerprint, guardRules, ruleset, type GuardRules } from './rules.js';

/** The network guard of this host's guests: an nftables table of our own. */
export interface NetworkGuard {
  /** Puts the rules in place, as one transaction; who has no internet stays so. */
  install(): Promise<void>;
  remove(): Promise<void>;
  /** @throws Error when the rules are not in place, or not these. */
  check(): Promise<void>;
  /** Before a guest of this user runs: its rule is as wanted, among rules that are in place. @throws as `check` does. */
  setInternet(uid: number, allowed: boolean): Promise<void>;
  /** Nothing is left of a user that had no internet; also when the rules are not in place. */
  forget(uid: number): Promise<void>;
}

export function openGuard(rules: GuardRules): NetworkGuard {
  const { table } = rules;
  const expected = guardRules(rules);
  const change = async (verb: 'add' | 'delete', uid: number): Promise<void> => {
    await nft([verb, 'element', 'inet', table, 'no_internet', `{ ${uid} }`]);
  };
  const checked = async (): Promise<GuardTable> => {
    const now = await readTable(table);
    if (now !== undefined && now.comment === fingerprint(expected) && now.ruleCount === expected.length) return now;
    const what = now === undefined ? 'is not there' : 'is not as it should be';
    throw new Error(
      `the network guard (nftables table inet ${table}) ${what}: no guest is started without it. Run "make up" again.`,
    );
  };
  return {
    async install() {
      const now = await readTable(table);
      await nft(['-f', '-'], ruleset(rules, now?.noInternet ?? []));
    },
    async remove() {
      await nft(['-f', '-'], `table inet ${table}\ndelete table inet ${table}\n`);
    },
    async check() {
      await checked();
    },
    async setInternet(uid, allowed) {
      const { noInternet } = await checked();
      if (noInternet.includes(uid) !== allowed) return;
      await change(allowed ? 'delete' : 'add', uid);
    },
    async forget(uid) {
      await change('delete', uid).catch((error: unknown) => {
        if (!(error instanceof NftError && /no such file|not found|does not exist/i.test(error.message))) throw error;
      });
    },
  };
}
