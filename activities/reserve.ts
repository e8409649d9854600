import { ApplicationFailure } from '@temporalio/common';
import pLimit from 'p-limit';
import { measureRoom, missingRoom, neededRoomOf, type Room } from '../src/host/admission.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';

/** One at a time, creates and resumes alike: what is measured must not be promised twice. */
const oneAtATime = pLimit(1);

/** Disk that {@link withDiskRoom} has given to what is still being written, MiB. */
let beingWrittenMiB = 0;

/**
 * Runs `work`, which writes so much at most, if the disk has room for it beside all that the sandboxes may need.
 * @returns undefined when it has not
 */
export async function withDiskRoom<T>(
  { index, reserved }: HostContext,
  mib: number,
  work: () => Promise<T>,
): Promise<T | undefined> {
  const fits = await oneAtATime(async () => {
    const { diskMiB } = await measureRoom(index, reserved);
    if (diskMiB - beingWrittenMiB < mib) return false;
    beingWrittenMiB += mib;
    return true;
  });
  if (!fits) return undefined;
  try {
    return await work();
  } finally {
    beingWrittenMiB -= mib;
  }
}

/**
 * Runs `record`, which writes the manifest that counts from then on, if a machine of that size fits beside all others.
 * What an earlier attempt of the same sandbox reserved is its own. Warm machines give way, one by one.
 * @param warm it is a warm machine itself, which takes nobody's place
 * @throws InsufficientCapacity; then nothing was begun.
 */
export const reserve = <T>(
  context: HostContext,
  id: string,
  { memoryMiB, diskMiB }: Room,
  record: () => Promise<T>,
  warm = false,
): Promise<T> =>
  oneAtATime(async () => {
    for (let waited = false; ;) {
      try {
        const { index, reserved, memories, discarded } = context;
        const taken = {
          ...reserved,
          memoryMiB: reserved.memoryMiB + memories.heldMiB,
          diskMiB: reserved.diskMiB + beingWrittenMiB,
        };
        const room = await measureRoom(index, taken, id);
        const need = await neededRoomOf(index, id, { memoryMiB, diskMiB }, reserved);
        // What others have just given back is promised again, but not free yet. Once: there may always be something.
        const free = { ...room, memoryMiB: room.memoryMiB - discarded.heldMiB };
        if (!waited && missingRoom(free, need) !== undefined) {
          waited = true;
          if (await discarded.settled()) continue;
        }
        const missing = missingRoom(room, need);
        if (missing !== undefined) throw failure('InsufficientCapacity', missing);
        return await record();
      } catch (error) {
        if (!isFull(error)) throw error;
        // Copies of memory were made in case there is room.
        if (await context.memories.giveUp()) continue;
        if (warm || !(await context.makeRoom())) throw error;
        waited = false;
      }
    }
  });

/** Also for want of a unix user. */
const isFull = (error: unknown): boolean =>
  error instanceof ApplicationFailure && error.type === 'InsufficientCapacity';
