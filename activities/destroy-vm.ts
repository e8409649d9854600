import { ApplicationFailure } from '@temporalio/common';
import type { DestroyVmInput } from '../workflows/host-activities.js';
import { failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { domainName } from './machine.js';
import { removeSandbox } from './remove-sandbox.js';

/**
 * Kill and expiry. Pre-empts: whatever holds the sandbox's lock is aborted, and its machine taken away from under it.
 * Order: machine, wrapped key (from here on nothing can be read again), libvirt secret, files.
 *
 * Second run: what is absent stays absent.
 */
export async function destroyVm(context: HostContext, input: DestroyVmInput, signal: AbortSignal): Promise<void> {
  const { id, generation } = input;
  context.traffic.closeGate(id);
  context.traffic.announceStop(id);
  context.traffic.cutStreams(id);
  if (context.locks.preempt(id, generation, new Error(`sandbox ${id} is being killed`))) {
    // A save inside libvirt cannot be cancelled from here, but it ends when its machine does.
    await context.driver.destroy(domainName(id));
  }
  try {
    await fenced(context, id, generation, signal, async () => {
      context.reached('destroy.begun');
      const manifest = context.index.get(id);
      if (manifest !== undefined) await context.index.put({ ...manifest, generation });
      context.reached('destroy.marked');
      await removeSandbox(context, id, generation);
    });
  } catch (error) {
    const isStale = error instanceof ApplicationFailure && error.type === 'StaleGeneration';
    if (!isStale) throw error;
    // The workflow learns from the facts how far this host is, and comes again with a higher one.
    throw failure('StaleGeneration', error.message, { cause: error, facts: await factsOf(context, id) });
  }
}
