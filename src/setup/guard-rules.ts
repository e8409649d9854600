import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Config } from '../config.js';
import { AGENT_PORT } from '../gateway/wire.js';
import type { GuardRules } from '../guard/rules.js';
import { SLOT_ADDRESSES } from '../host/slots.js';
import { qemuIds } from './qemu-user.js';

export const GUARD_TABLE = 'dormouse';

/** The guard's rules for this host, by its configuration and its resolvers of the moment. */
export async function hostGuardRules(config: Config): Promise<() => Promise<GuardRules>> {
  const { uid } = await qemuIds();
  return followResolvers(config, uid, '/etc/resolv.conf');
}

/** @returns reads the file anew at each call; where there is none for a moment, the resolvers are those of before */
export function followResolvers(
  config: Pick<Config, 'uidBase' | 'uidCount' | 'allowPrivateNetworks' | 'allowSmtp'>,
  qemuUid: number,
  file: string,
): () => Promise<GuardRules> {
  let resolvers: string[] = [];
  return async () => {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) resolvers = resolversIn(text);
    return {
      table: GUARD_TABLE,
      uids: [config.uidBase, config.uidBase + config.uidCount - 1],
      qemuUid,
      agents: { network: SLOT_ADDRESSES, port: AGENT_PORT },
      resolvers,
      allowPrivate: config.allowPrivateNetworks,
      allowSmtp: config.allowSmtp,
    };
  };
}

/** Of a `resolv.conf`. */
function resolversIn(text: string): string[] {
  const found = [...text.matchAll(/^nameserver\s+([0-9a-f.:]+)/gim)].map((match) => match[1]!);
  return [...new Set(found.filter((address) => isIP(address) !== 0))];
}
