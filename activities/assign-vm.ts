import type { CreateVmInput, VmRunning } from '../workflows/host-activities.js';
import { wholeView } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import { within } from '../src/within.js';
import { allOf } from './all-of.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { tellGuest } from './wake-guest.js';
import { prepareNetwork } from './workspace.js';

/** Its guest runs already. One that does not answer soon is given up: making another takes less than waiting longer. */
const AGENT_WITHIN_MS = 15_000;

/**
 * A warm machine becomes a sandbox: durable in the manifest first, then its network rule and its agent's environment
 * and clock, then it counts as running. Whose it was before is nobody, so there is nothing to take back; on failure the
 * workflow destroys it.
 *
 * Second run: done already is the answer, if the machine still runs; anything before is done again, all of it can be. A
 * machine that has ended meanwhile is not made anew here.
 */
export async function assignVm(context: HostContext, input: CreateVmInput, signal: AbortSignal): Promise<VmRunning> {
  const { spec, generation } = input;
  return fenced(context, spec.id, generation, signal, async (held) => {
    const known = context.index.get(spec.id);
    const live = known === undefined ? 'absent' : await context.driver.state(domainName(spec.id));
    if (known === undefined || live !== 'running') {
      throw failure('CreateFailed', `the warm machine of sandbox ${spec.id} has ended; create another`);
    }
    const settled = known.phase.name === 'running' && known.view.spec.warm !== true;
    if (settled && known.bootId !== undefined) return { bootId: known.bootId };
    try {
      context.reached('assign.begun');
      const manifest = await context.index.change(spec.id, {
        ...{ generation, phase: { name: 'creating' }, allowInternetAccess: spec.allowInternetAccess },
        view: { ...wholeView(spec, input.view), status: 'creating' },
      });
      context.reached('assign.recorded');
      const waking = wake(context, manifest, held);
      await allOf(waking, openNetwork(context, manifest));
      const bootId = await waking;
      await context.index.change(spec.id, {
        ...{ phase: { name: 'running' }, bootId, view: wholeView(spec, input.view), agentNonce: spec.tokenNonce },
      });
      context.reached('assign.settled');
      context.traffic.forget(spec.id);
      return { bootId };
    } catch (error) {
      held.throwIfAborted();
      throw asFailure(error, 'CreateFailed', `a warm machine could not become sandbox ${spec.id}`);
    }
  });
}

/** Its kernel's reseed was confirmed when the machine was made: nothing has been restored since. */
async function wake(context: HostContext, manifest: Manifest, signal: AbortSignal): Promise<string> {
  const bootId = await tellGuest(context, manifest, within(AGENT_WITHIN_MS, signal), 'adoption');
  context.reached('assign.agent-ready');
  return bootId;
}

/** Nobody's machine reaches nothing: what stays so needs no change, and there is no connection from before to cut. */
async function openNetwork(context: HostContext, manifest: Manifest): Promise<void> {
  await prepareNetwork(context, manifest);
  context.reached('assign.network-ready');
}
