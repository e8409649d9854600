import { createHash } from 'node:crypto';

export interface GuardRules {
  /** Name of the nftables table, family inet. */
  table: string;
  /** Unix users of guests' QEMU and passt processes: [first, last]. */
  uids: [number, number];
  /** libvirt's own QEMU user: under the same rules. */
  qemuUid: number;
  /** The host's resolvers; reachable on port 53. */
  resolvers: string[];
  /** CIDRs of private networks that guests may reach all the same. */
  allowPrivate: string[];
}

/** Never reachable: link-local gives away a cloud host's credentials; the rest makes no sense from a guest. */
const NEVER_V4 = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4'];
const NEVER_V6 = ['::1/128', '::/128', 'fe80::/10', 'ff00::/8', '::ffff:0:0/96'];
const PRIVATE_V4 = ['10.0.0.0/8', '100.64.0.0/10', '172.16.0.0/12', '192.168.0.0/16', '198.18.0.0/15'];
const PRIVATE_V6 = ['fc00::/7', 'fec0::/10'];

const isV6 = (address: string): boolean => address.includes(':');
const set = (items: string[]): string => `{ ${items.join(', ')} }`;

/** The rules of the one chain, in order; pure. A packet that no rule refuses passes. */
export function guardRules(options: GuardRules): string[] {
  const v4 = (items: string[]): string[] => items.filter((item) => !isV6(item));
  const v6 = (items: string[]): string[] => items.filter(isV6);
  const dns = [
    ...v4(options.resolvers).map((address) => `ip daddr ${address}`),
    ...v6(options.resolvers).map((address) => `ip6 daddr ${address}`),
  ];
  const allowed = [
    ...v4(options.allowPrivate).map((cidr) => `ip daddr ${cidr} accept`),
    ...v6(options.allowPrivate).map((cidr) => `ip6 daddr ${cidr} accept`),
  ];
  return [
    `meta skuid != ${set([`${options.uids[0]}-${options.uids[1]}`, String(options.qemuUid)])} accept`,
    // Answers to connections that came in: the agent's forwarded port.
    'ct state established,related accept',
    'meta skuid @no_internet reject',
    ...dns.flatMap((to) => [`${to} udp dport 53 accept`, `${to} tcp dport 53 accept`]),
    'oifname "lo" reject',
    'fib daddr type { local, broadcast, anycast, multicast } reject',
    `ip daddr ${set(NEVER_V4)} reject`,
    `ip6 daddr ${set(NEVER_V6)} reject`,
    ...allowed,
    `ip daddr ${set(PRIVATE_V4)} reject`,
    `ip6 daddr ${set(PRIVATE_V6)} reject`,
  ];
}

/** Says which rules a table was made from; stands as a comment on its first rule. */
export const fingerprint = (rules: string[]): string =>
  createHash('sha256').update(rules.join('\n')).digest('hex').slice(0, 32);

/** Input for `nft -f`: replaces the table as one transaction; `noInternet` are the elements that the set has now. */
export function ruleset(options: GuardRules, noInternet: number[]): string {
  const rules = guardRules(options);
  const { table } = options;
  return `
table inet ${table}
delete table inet ${table}
table inet ${table} {
  set no_internet {
    typeof meta skuid
    ${noInternet.length === 0 ? '' : `elements = ${set(noInternet.map(String))}`}
  }
  chain guests {
    type filter hook output priority -10; policy accept;
${rules.map((rule, index) => `    ${rule}${index === 0 ? ` comment "${fingerprint(rules)}"` : ''}`).join('\n')}
  }
}
`;
}
