import { isIPv6 } from 'node:net';

/**
 * Never reachable: link-local addresses and those that clouds use alike give away the host's credentials; the rest makes no
 * sense from a guest. `::/96` are the loopback and addresses that contain an IPv4 address, as are the other two.
 */
export const NEVER = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  // Metadata and agents of clouds: Azure, Alibaba, and 192.0.0.192 at Oracle.
  '168.63.129.16/32',
  '100.100.100.200/32',
  '192.0.0.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/96',
  '::ffff:0:0/96',
  '::ffff:0:0:0/96',
  'fe80::/10',
  'ff00::/8',
  // Metadata of clouds: Amazon, Google.
  'fd00:ec2::/32',
  'fd20:ce::/64',
];

/** Reachable where `DORMOUSE_ALLOW_PRIVATE_NETWORKS` says so. */
export const PRIVATE = [
  '10.0.0.0/8',
  '100.64.0.0/10',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '198.18.0.0/15',
  'fc00::/7',
  'fec0::/10',
  // Translated to IPv4 on the way, private addresses among them: NAT64 (two prefixes), Teredo, 6to4.
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
];

export const isV6 = (addressOrNetwork: string): boolean => isIPv6(addressOrNetwork.replace(/\/.*/, ''));
export const v4 = (items: string[]): string[] => items.filter((item) => !isV6(item));
export const v6 = (items: string[]): string[] => items.filter(isV6);
