import { createHash } from 'node:crypto';
import type { Run } from './run.js';

interface NftItem {
  chain?: object;
  rule?: { comment?: string };
  set?: { name: string; elem?: unknown[] };
}

export interface GuardTable {
  /** Digest of the chains and their rules as nft lists them. */
  digest: string;
  /** The comment that says which rules the table was made from. */
  comment: string;
  ruleCount: number;
  /** Users whose guests reach nothing. */
  noInternet: number[];
}

/** The live table, or undefined when there is none. */
export async function readTable(table: string, run: Run): Promise<GuardTable | undefined> {
  const text = await run('nft', ['-n', '-j', 'list', 'table', 'inet', table]).catch((error: unknown) => {
    if (isAbsent(error)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const items = (JSON.parse(text) as { nftables: NftItem[] }).nftables;
  const denied = items.find((item) => item.set?.name === 'no_internet')?.set?.elem ?? [];
  return {
    digest: digestOf(items.filter((item) => item.chain !== undefined || item.rule !== undefined)),
    comment: items.find((item) => item.rule?.comment !== undefined)?.rule?.comment ?? '',
    ruleCount: items.filter((item) => item.rule !== undefined).length,
    noInternet: denied.map(Number).filter(Number.isInteger),
  };
}

export const isAbsent = (error: unknown): boolean =>
  error instanceof Error && /no such file|not found|does not exist/i.test(error.message);

/** Without the handles, which count up whenever something is put in place again. */
const digestOf = (items: NftItem[]): string =>
  createHash('sha256')
    .update(JSON.stringify(items, (key, value: unknown) => (key === 'handle' ? undefined : value)))
    .digest('hex');
