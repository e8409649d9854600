import { stat } from 'node:fs/promises';
import type { Manifest } from './manifest.js';
import type { SandboxIndex } from './sandbox-index.js';

const MIB = 1024 * 1024;

/** How a host's disk is given out, MiB. */
export interface DiskLimits {
  /** For the service's own files: neither a guest nor an image takes any of it. */
  diskMiB: number;
  /** The disks of all sandboxes may come to need so many times what is kept free for them; absent: 1. */
  diskOvercommit?: number;
}

/** What a sandbox's disk may take up whatever the others do, MiB; beyond it the disk grows only while there is room. */
export const shareOfDisk = (diskMiB: number, { diskOvercommit = 1 }: Pick<DiskLimits, 'diskOvercommit'>): number =>
  Math.ceil(diskMiB / diskOvercommit);

/** What a file takes up on the host's disk, MiB; 0 for one that is not there. */
export async function allocatedMiB(file: string): Promise<number> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found === undefined ? 0 : (found.blocks * 512) / MIB;
}

/** Those whose disk may grow, and whose next pause writes an image. */
export const isAwake = ({ phase }: Pick<Manifest, 'phase'>): boolean => phase.name !== 'saved' && phase.name !== 'lost';

/** What a sandbox's disk has not taken of its share yet, MiB. */
export async function unusedShare(
  index: Pick<SandboxIndex, 'paths'>,
  id: string,
  diskMiB: number,
  limits: Pick<DiskLimits, 'diskOvercommit'>,
): Promise<number> {
  const used = await allocatedMiB(index.paths.sandbox(id).overlay);
  return Math.max(0, Math.ceil(shareOfDisk(diskMiB, limits) - used));
}
