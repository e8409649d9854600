import { execa } from 'execa';

export class NftError extends Error {
  override readonly name = 'NftError';
}

/** @returns standard output. @throws NftError with nft's own words. */
export async function nft(args: string[], input?: string): Promise<string> {
  const result = await execa('nft', args, { reject: false, ...(input === undefined ? {} : { input }) });
  if (result.exitCode === 0) return result.stdout;
  throw new NftError(
    `nft ${args.join(' ')} failed: ${result.stderr.trim() || result.shortMessage}. The network guard needs root and nftables.`,
  );
}

interface NftItem {
  rule?: { comment?: string };
  set?: { name: string; elem?: unknown[] };
}

export interface GuardTable {
  comment: string;
  ruleCount: number;
  /** Users whose guests reach nothing. */
  noInternet: number[];
}

/** The live table, or undefined when there is none. */
export async function readTable(table: string): Promise<GuardTable | undefined> {
  const text = await nft(['-n', '-j', 'list', 'table', 'inet', table]).catch((error: unknown) => {
    if (error instanceof NftError && /no such file/i.test(error.message)) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const items = (JSON.parse(text) as { nftables: NftItem[] }).nftables;
  const denied = items.find((item) => item.set?.name === 'no_internet')?.set?.elem ?? [];
  return {
    comment: items.find((item) => item.rule?.comment !== undefined)?.rule?.comment ?? '',
    ruleCount: items.filter((item) => item.rule !== undefined).length,
    noInternet: denied.map(Number).filter(Number.isInteger),
  };
}
