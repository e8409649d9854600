import { statfs } from 'node:fs/promises';
import { Code, ConnectError } from '@connectrpc/connect';

/** Magic numbers of file systems that others change without this kernel's knowledge. */
const NETWORK_TYPES = new Set([
  0x6969, // NFS
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x517b, // SMB
  0x65735546, // FUSE
  0x01021997, // 9P
  0x00c36400, // Ceph
  0x5346414f, // AFS
]);

/** @throws ConnectError invalid_argument when `directory` is on a network mount. */
export async function refuseNetworkMount(directory: string): Promise<void> {
  // The kernel's number may come sign-extended.
  if (NETWORK_TYPES.has((await statfs(directory)).type >>> 0)) {
    throw new ConnectError(`'${directory}' is on a network file system`, Code.InvalidArgument);
  }
}
