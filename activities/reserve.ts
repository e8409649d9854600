import pLimit from 'p-limit';
import { measureRoom, missingRoom } from '../src/host/admission.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';

/** One at a time, creates and resumes alike: what is measured must not be promised twice. */
const oneAtATime = pLimit(1);

/**
 * Runs `record`, which writes the manifest that counts from then on, if a machine of `memoryMiB` fits beside all others.
 * What an earlier attempt of the same sandbox reserved is its own.
 * @throws InsufficientCapacity; then nothing was begun.
 */
export const reserve = <T>(context: HostContext, id: string, memoryMiB: number, record: () => Promise<T>): Promise<T> =>
  oneAtATime(async () => {
    const { index, reserved, memories } = context;
    const missingNow = async (): Promise<string | undefined> => {
      const withCopies = { ...reserved, memoryMiB: reserved.memoryMiB + memories.heldMiB };
      return missingRoom(await measureRoom(index, withCopies, id), memoryMiB);
    };
    let missing = await missingNow();
    // Copies of memory were made in case there is room.
    if (missing !== undefined && (await memories.giveUp())) missing = await missingNow();
    if (missing !== undefined) throw failure('InsufficientCapacity', missing);
    return record();
  });
