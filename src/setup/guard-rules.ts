import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Config } from '../config.js';
import type { GuardRules } from '../guard/rules.js';
import { qemuIds } from './qemu-user.js';

/** The guard's rules for this host: its resolvers, its configuration. Set-up installs them, the host worker checks them. */
export async function hostGuardRules(config: Config): Promise<GuardRules> {
  const { uid } = await qemuIds();
  const resolv = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  const resolvers = [...resolv.matchAll(/^nameserver\s+([0-9a-f.:]+)/gim)].map((match) => match[1]!);
  return {
    table: 'dormouse',
    uids: [config.uidBase, config.uidBase + config.uidCount - 1],
    qemuUid: uid,
    resolvers: [...new Set(resolvers.filter((address) => isIP(address) !== 0))],
    allowPrivate: config.allowPrivateNetworks,
  };
}
