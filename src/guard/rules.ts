import { createHash } from 'node:crypto';
import { isV6, NEVER, PRIVATE, v4, v6 } from './addresses.js';

export interface GuardRules {
  /** Name of the nftables table, family inet. */
  table: string;
  /** Unix users of guests' QEMU and passt processes: [first, last]. */
  uids: [number, number];
  /** libvirt's own QEMU user: under the same rules. */
  qemuUid: number;
  /** Where the host reaches the guests' agents: passt listens there. */
  agents: { network: string; port: number };
  /** The host's resolvers; reachable on port 53. */
  resolvers: string[];
  /** CIDRs of private networks that guests may reach all the same. */
  allowPrivate: string[];
  /** Mail servers on port 25. */
  allowSmtp: boolean;
}

const set = (items: string[]): string => `{ ${items.join(', ')} }`;
const to = (address: string): string => `${isV6(address) ? 'ip6' : 'ip'} daddr ${address}`;

/**
 * The rules for packets of guests' unix users, in order; pure. A packet that no rule refuses passes.
 *
 * None of them asks for the state of a connection: what was opened while the rules were not in place must not live on.
 */
export function guardRules({ agents, resolvers, allowPrivate, allowSmtp }: GuardRules): string[] {
  return [
    // Answers to the host; what begins a connection is none.
    `ip saddr ${agents.network} tcp sport ${agents.port} tcp flags & (syn | ack) != syn accept`,
    'meta skuid @no_internet reject',
    ...resolvers.flatMap((address) => [`${to(address)} udp dport 53 accept`, `${to(address)} tcp dport 53 accept`]),
    'oifname "lo" reject',
    'fib daddr type { local, broadcast, anycast, multicast } reject',
    `ip daddr ${set(v4(NEVER))} reject`,
    `ip6 daddr ${set(v6(NEVER))} reject`,
    ...allowPrivate.map((network) => `${to(network)} accept`),
    `ip daddr ${set(v4(PRIVATE))} reject`,
    `ip6 daddr ${set(v6(PRIVATE))} reject`,
    ...(allowSmtp ? [] : ['tcp dport 25 reject']),
  ];
}

/**
 * Which packets the rules are for, pure: those of a socket that belongs to such a user. Most packets of the host's kernel have
 * no socket (neighbour discovery, VXLAN, WireGuard); such a packet matches no comparison with a user at all, `!=` neither.
 */
const guestsOnly = ({ uids, qemuUid }: GuardRules): string =>
  `meta skuid ${set([`${uids[0]}-${uids[1]}`, String(qemuUid)])} jump guests`;

/** Says which rules a table was made from; it is the comment of the table's first rule. */
export const fingerprint = (options: GuardRules): string =>
  createHash('sha256')
    .update([guestsOnly(options), ...guardRules(options)].join('\n'))
    .digest('hex')
    .slice(0, 32);

/** Input for `nft -f`: replaces the table as one transaction; `noInternet` are the elements that the set has now. */
export function ruleset(options: GuardRules, noInternet: number[]): string {
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
${guardRules(options)
  .map((rule) => `    ${rule}`)
  .join('\n')}
  }
  chain output {
    type filter hook output priority -10; policy accept;
    ${guestsOnly(options)} comment "${fingerprint(options)}"
  }
}
`;
}
