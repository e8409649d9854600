import { readFile, stat, statfs } from 'node:fs/promises';
import { isAwake, shareOfDisk, unusedShare, type DiskLimits } from './disk-promises.js';
import type { SandboxIndex } from './sandbox-index.js';

const MIB = 1024 * 1024;

export interface Room {
  memoryMiB: number;
  diskMiB: number;
}

/** What a host never gives away, and how it gives out the rest of its disk. */
export type Reserve = Room & DiskLimits;

/** What a running sandbox may come to need beyond its guest's memory: QEMU, passt, device state. */
const OVERHEAD_MIB = 128;

/**
 * What can still be promised. Every machine that runs (or is being made or saved) counts with all of its memory, used or
 * not (`except` one), so that neither the guest nor its pause can fail half-way for want of space; and with its share of the
 * disk.
 */
export async function measureRoom(
  index: SandboxIndex,
  reserved: Reserve,
  except?: string,
  /** In use, and given up by whoever holds it when it is needed, MiB. */
  yieldingMiB = 0,
): Promise<Room> {
  const [tmpfs, disk, meminfo] = await Promise.all([
    statfs(index.paths.memory),
    statfs(index.paths.sandboxes),
    readFile('/proc/meminfo', 'utf8'),
  ]);
  const totalMiB = Number(/^MemTotal:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0) / 1024;
  const availableMiB = Number(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? 0) / 1024;
  const awake = index.all().filter((manifest) => isAwake(manifest) && manifest.id !== except);
  const promisedMiB = awake.reduce((sum, { memoryMiB }) => sum + memoryMiB + OVERHEAD_MIB, 0);
  // Each of them may be paused, and its new image may grow to all of its memory; what earlier ones take up is taken already.
  const imagesMiB = awake.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0);
  const unused = awake.map(({ id, view }) => unusedShare(index, id, view.spec.diskMiB, reserved));
  const growthMiB = (await Promise.all(unused)).reduce((sum, mib) => sum + mib, 0);
  const tmpfsMiB = (tmpfs.blocks * tmpfs.bsize) / MIB;
  return {
    memoryMiB: Math.floor(
      Math.min(
        Math.min(totalMiB, tmpfsMiB) - promisedMiB - reserved.memoryMiB,
        availableMiB + yieldingMiB - reserved.memoryMiB,
      ),
    ),
    diskMiB: Math.floor((disk.bavail * disk.bsize) / MIB - imagesMiB - growthMiB - reserved.diskMiB),
  };
}

/** As `measureRoom`, with the room of the warm machines and of copies of memory: they give way to whoever needs it. */
export async function roomToOffer(index: SandboxIndex, reserved: Reserve, copiesMiB: number): Promise<Room> {
  const { memoryMiB, diskMiB } = await measureRoom(index, reserved, undefined, copiesMiB);
  const warm = index.all().filter(({ view }) => view.spec.warm === true);
  const given = warm.reduce((sum, machine) => sum + machine.memoryMiB, 0);
  const shares = warm.map(({ id, view }) => unusedShare(index, id, view.spec.diskMiB, reserved));
  const unusedMiB = (await Promise.all(shares)).reduce((sum, mib) => sum + mib, 0);
  return { memoryMiB: memoryMiB + given + warm.length * OVERHEAD_MIB, diskMiB: diskMiB + given + unusedMiB };
}

/** What a new machine takes. Its image may grow to its whole memory, its disk to its share, so the disk must hold both. */
export const neededRoom = ({ memoryMiB, diskMiB }: Room, limits: DiskLimits): Room => ({
  memoryMiB,
  diskMiB: memoryMiB + shareOfDisk(diskMiB, limits),
});

/** As {@link neededRoom}; what the sandbox's disk takes up already is taken. */
export const neededRoomOf = async (index: SandboxIndex, id: string, size: Room, limits: DiskLimits): Promise<Room> => ({
  memoryMiB: size.memoryMiB,
  diskMiB: size.memoryMiB + (await unusedShare(index, id, size.diskMiB, limits)),
});

/**
 * Whether a machine fits.
 * @param need see {@link neededRoom}
 * @returns a sentence that says what is missing, or undefined.
 */
export function missingRoom(room: Room, need: Room): string | undefined {
  const needed = need.memoryMiB + OVERHEAD_MIB;
  if (room.memoryMiB < needed) {
    return `not enough memory on this host: ${needed} MiB needed, ${Math.max(0, room.memoryMiB)} MiB free. Kill or pause another sandbox, or try later.`;
  }
  if (room.diskMiB < need.diskMiB) {
    return `not enough disk on this host: ${need.diskMiB} MiB needed, ${Math.max(0, room.diskMiB)} MiB free. Kill a paused sandbox, or free some space.`;
  }
  return undefined;
}

/** Device state, headers and manifests beside the memory's pages. */
const IMAGE_OVERHEAD_MIB = 16;

/**
 * Whether a pause can write its image: at most what the guest's memory file takes up now. Asked before anything of the
 * machine is touched. The reserve is not for images.
 * @returns a sentence that says what is missing, or undefined.
 */
export async function missingForImage(
  directory: string,
  memoryFile: string,
  reservedMiB: number,
): Promise<string | undefined> {
  const [disk, memory] = await Promise.all([statfs(directory), stat(memoryFile).catch(() => undefined)]);
  const neededMiB = Math.ceil(((memory?.blocks ?? 0) * 512) / MIB) + IMAGE_OVERHEAD_MIB;
  const freeMiB = Math.max(0, Math.floor((disk.bavail * disk.bsize) / MIB - reservedMiB));
  if (freeMiB >= neededMiB) return undefined;
  return `not enough disk on this host for the image: up to ${neededMiB} MiB needed, ${freeMiB} MiB free. It runs on; free some space, then pause it again.`;
}
