import { VirshError } from './errors.js';
import { virsh } from './virsh.js';

/** Version of the libvirt daemon, as libvirt counts: 11.3.0 is 11003000. */
export async function libvirtVersion(uri: string): Promise<number> {
  const said = await virsh(uri, ['version', '--daemon']);
  const [, major, minor, patch] = /Running against daemon: (\d+)\.(\d+)\.(\d+)/.exec(said) ?? [];
  if (major === undefined) throw new VirshError(`virsh version does not tell the daemon's version: ${said}`);
  return Number(major) * 1_000_000 + Number(minor) * 1_000 + Number(patch);
}
