import type { HostContext } from './host-context.js';
import { failure } from './failure.js';

/**
 * The one way to change a sandbox's machine: alone, and never for a caller older than one that was here before.
 * A timed-out attempt may still be running when the next one starts; the second waits for the lock and then finds the
 * work done, or finishes it.
 * @throws StaleGeneration
 */
export async function fenced<T>(
  context: HostContext,
  id: string,
  generation: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return context.locks.hold(id, generation, signal, async (held) => {
    const seen = context.index.generation(id);
    if (generation < seen) {
      throw failure('StaleGeneration', `sandbox ${id}: generation ${generation} comes after ${seen}; nothing was done`);
    }
    return work(held);
  });
}
