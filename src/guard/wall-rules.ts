import { BlockList, isIPv6 } from 'node:net';
import { NEVER, PRIVATE, v4, v6 } from './addresses.js';
import type { GuardRules } from './rules.js';

/** Marks our rules in `ip rule`: as who put them there. */
export const PROTOCOL = 216;
/** Packets with this mark are not refused. Only root sets marks; a rule that redirects guests into the host needs it. */
export const REDIRECTED_MARK = 0xd0;
/** Behind the kernel's own rule for local addresses, which has priority 0. */
const BEHIND_LOCAL = 216;
const STAND_IN = 217;
/** The kernel's own, by number: iproute2 takes the last number that it was given for a protocol's name. */
const KERNEL = 2;

export type Family = 4 | 6;

/** One line of `ip -N -j rule`. */
export interface RoutingRule {
  priority: number;
  src: string;
  dst?: string;
  table?: string;
  protocol?: string;
  action?: string;
  uid_start?: number;
  fwmark?: string;
}

/**
 * The wall's rules in order, as `ip rule` takes them; pure. Rules of routing by the user that a socket belongs to, so that
 * guests find no way to what they may not reach, the host's loopback above all.
 */
export function wallRules(rules: Omit<GuardRules, 'table' | 'qemuUid' | 'allowSmtp'>, family: Family): string[] {
  const of = family === 4 ? v4 : v6;
  const user = `uidrange ${rules.uids[0]}-${rules.uids[1]}`;
  const refused = of([...NEVER, ...PRIVATE]);
  const dns = of(rules.resolvers)
    .filter((address) => isIn(refused, address))
    .flatMap((address) => ['udp', 'tcp'].map((protocol) => `to ${address} ${user} ipproto ${protocol} dport 53`));
  return [
    ...(family === 4
      ? [`from ${rules.agents.network} ${user} ipproto tcp sport ${rules.agents.port} table local`]
      : []),
    `fwmark ${REDIRECTED_MARK} ${user} table local`,
    ...dns.flatMap((what) => [`${what} table local`, `${what} goto ${BEHIND_LOCAL}`]),
    ...of(NEVER).map((network) => `to ${network} ${user} prohibit`),
    ...of(rules.allowPrivate).map((network) => `to ${network} ${user} goto ${BEHIND_LOCAL}`),
    ...of(PRIVATE).map((network) => `to ${network} ${user} prohibit`),
  ];
}

const isOurs = (rule: RoutingRule): boolean => rule.protocol === String(PROTOCOL);
const isLocal = (rule: RoutingRule): boolean =>
  rule.table === '255' &&
  rule.src === 'all' &&
  rule.dst === undefined &&
  rule.uid_start === undefined &&
  rule.fwmark === undefined;

/** Whether all of ours are asked before the rule for local addresses. */
export function isBeforeLocal(now: RoutingRule[]): boolean {
  const first = now.findIndex(isLocal);
  return first >= 0 && now.every((rule, at) => !isOurs(rule) || rule.priority !== 0 || at < first);
}

/** What of the list is the wall, as text. */
export const oursIn = (now: RoutingRule[]): string => JSON.stringify(now.filter(isOurs));

/**
 * Input for `ip -batch`, pure: puts `rules` in place of what there is. Of rules with the same priority the kernel asks the
 * older one first, so its own for local addresses is made anew behind ours; meanwhile another one stands in, for the host needs
 * one at any time.
 */
export function wallBatch(now: RoutingRule[], rules: string[]): string {
  const own = now.filter(isOurs);
  const local = now.filter((rule) => isLocal(rule) && rule.priority === 0);
  const standIns = now.filter((rule) => isLocal(rule) && rule.priority === STAND_IN);
  return [
    ...(standIns.length > 0 ? [] : [`rule add pref ${STAND_IN} protocol ${KERNEL} table local`]),
    ...own.map(() => `rule del protocol ${PROTOCOL}`),
    ...local.map(() => 'rule del pref 0 table local'),
    `rule add pref ${BEHIND_LOCAL} protocol ${PROTOCOL} nop`,
    ...rules.map((rule) => `rule add pref 0 protocol ${PROTOCOL} ${rule}`),
    `rule add pref 0 protocol ${KERNEL} table local`,
    `rule del pref ${STAND_IN} table local`,
    '',
  ].join('\n');
}

function isIn(networks: string[], address: string): boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [start, bits] = network.split('/') as [string, string];
    list.addSubnet(start, Number(bits), isIPv6(start) ? 'ipv6' : 'ipv4');
  }
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
