/** A sandbox whose machine may write to its disk. Sizes in MiB. */
export interface GrowingDisk {
  id: string;
  usedMiB: number;
  shareMiB: number;
  /** Size when room became short, and when the reserve was reached; undefined: that is not so, or it was not there yet. */
  sinceShort: number | undefined;
  sinceReached: number | undefined;
}

export interface DiskRoom {
  reserveMiB: number;
  /** Free, less the images that all pauses may come to write: what falls below the reserve is taken from the service. */
  leftMiB: number;
  /** What can be promised to a further sandbox: `leftMiB`, less unused shares and the reserve. */
  offeredMiB: number;
}

/** So little is let pass, that a guest which does nothing in particular is not held for its own journal. */
const LEAST_MIB = 1;
const MOST_MIB = 32;
/** Released a little later than held. */
const SLACK_MIB = 64;

/**
 * Room is short before the reserve is reached: what is over-committed may be used for as long as there is room for the next
 * sandbox of somebody else.
 */
export const isShort = ({ offeredMiB, reserveMiB }: DiskRoom): boolean => offeredMiB < reserveMiB;
export const isReached = ({ leftMiB, reserveMiB }: DiskRoom): boolean => leftMiB < reserveMiB;
export const isOver = ({ offeredMiB, leftMiB, reserveMiB }: DiskRoom): boolean =>
  Math.min(offeredMiB, leftMiB) >= reserveMiB + SLACK_MIB;

/**
 * Decides which guests are held. While room is short, those that have grown beyond their share and go on growing; once the
 * reserve is reached, all that go on growing. The nearer the end, and the more guests there are, the less is let pass; a
 * guest that hardly grows never is held.
 */
export function disksToHold(room: DiskRoom, disks: readonly GrowingDisk[]): string[] {
  const letPass = (mib: number): number =>
    Math.min(MOST_MIB, Math.max(LEAST_MIB, mib / Math.max(64, 4 * disks.length)));
  const grewBy = ({ usedMiB }: GrowingDisk, since: number | undefined): number =>
    since === undefined ? 0 : usedMiB - since;
  return disks
    .filter(
      (disk) =>
        (isShort(room) && disk.usedMiB > disk.shareMiB && grewBy(disk, disk.sinceShort) > letPass(room.offeredMiB)) ||
        (isReached(room) && grewBy(disk, disk.sinceReached) > letPass(room.leftMiB)),
    )
    .map(({ id }) => id);
}
