import { virsh } from './virsh.js';

/** What a machine has asked of its disks since it began; reads, writes and flushes. */
export interface DiskUse {
  bytes: number;
  requests: number;
}

/** In one call for all of them; those that are busy with a step of their own are left out: none is waited for. */
export const diskUses = async (uri: string): Promise<Map<string, DiskUse>> =>
  parseDiskUses(await virsh(uri, ['domstats', '--block', '--nowait', '--list-running', '--raw']));

/** @param text of `virsh domstats --block` */
export function parseDiskUses(text: string): Map<string, DiskUse> {
  const uses = new Map<string, DiskUse>();
  let name = '';
  for (const line of text.split('\n')) {
    name = /^Domain: '(.*)'$/.exec(line)?.[1] ?? name;
    const [, what, count] = /^\s*block\.\d+\.(?:rd|wr|fl)\.(bytes|reqs)=(\d+)$/.exec(line) ?? [];
    if (count === undefined) continue;
    const { bytes, requests } = uses.get(name) ?? { bytes: 0, requests: 0 };
    if (what === 'bytes') uses.set(name, { bytes: bytes + Number(count), requests });
    else uses.set(name, { bytes, requests: requests + Number(count) });
  }
  return uses;
}
