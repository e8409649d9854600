import type { PauseVmResult, VmRunning } from '../workflows/host-activities.js';
import type { LogEntry } from '../src/gateway/wire.js';
import { asFailure } from './failure.js';
import type { HostContext } from './host-context.js';
import { tell } from './tell.js';

const DONE = { create: 'created', pause: 'paused', resume: 'resumed' } as const;

/** Runs a step and enters what came of it into the sandbox's log. Codes only: messages may name what is the host's. */
export async function logged<T extends VmRunning | PauseVmResult>(
  context: HostContext,
  verb: keyof typeof DONE,
  id: string,
  generation: number,
  work: () => Promise<T>,
  how: Record<string, string> = {},
): Promise<T> {
  const enter = async (event: string, level: LogEntry['level'], fields: Record<string, string>): Promise<void> => {
    const known = context.index.get(id);
    // A later step has come in between, perhaps one that removes all of it.
    if ((known?.generation ?? Infinity) > generation) return;
    // The log is its owner's, and a warm machine has none yet.
    if (known?.view.spec.warm === true) return;
    await tell(context, id, (journal) =>
      journal.addEvent(id, generation, event, { level, fields: { ...how, ...fields } }),
    );
  };
  try {
    const result = await work();
    if (!('outcome' in result && result.outcome === 'busy')) await enter(DONE[verb], 'info', {});
    return result;
  } catch (error) {
    const { type } = asFailure(error, 'HostFailure', verb);
    await enter(`${verb} failed`, 'error', { code: type ?? 'HostFailure' });
    throw error;
  }
}
