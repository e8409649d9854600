import type { PauseVmInput, PauseVmResult } from '../workflows/host-activities.js';
import { wholeView } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { domainName, requireTemplate } from './machine.js';

/** What both kinds of pause begin with. */

/** The answer for a sandbox that sleeps already: an earlier attempt, or an earlier pause whose answer never arrived. */
export async function sleepsAlready(
  context: HostContext,
  known: Manifest,
  { generation, view }: PauseVmInput,
): Promise<PauseVmResult | undefined> {
  const { id, phase, image } = known;
  if (phase.name !== 'saved' || image === undefined) return undefined;
  if ((await context.driver.state(domainName(id))) === 'running') {
    // No crash leaves this: the manifest is older than the machine, and its image older than memory and disk.
    const what = `sandbox ${id} runs, and its manifest says that it sleeps: an older manifest was put back. Bring the newest one back and start the host worker again, or kill the sandbox.`;
    throw failure('PauseFailed', what, { facts: await factsOf(context, id) });
  }
  await context.index.change(id, { generation, view: { ...wholeView(known.view.spec, view), image } });
  await giveBack(context, known);
  return { outcome: 'paused', image };
}

/**
 * A pause that has not begun with the machine: that goes on, in the generation that its workflow is in now. What is
 * reported of its end names that one, and would be taken for old news otherwise.
 */
export async function goesOn(context: HostContext, { id, phase }: Manifest, generation: number): Promise<void> {
  if (phase.name === 'running') await context.index.change(id, { generation });
}

/** Asked for before the gate is closed: a sandbox that runs on without its template runs on for its clients, too. */
export async function templateToPause(context: HostContext, known: Manifest, generation: number): Promise<Template> {
  const { id, phase, templateKey } = known;
  try {
    return await requireTemplate(context, templateKey);
  } catch (error) {
    if (phase.name === 'running') {
      await goesOn(context, known, generation);
      // An attempt that died may have closed it.
      context.traffic.openGate(id);
      throw error;
    }
    // An earlier attempt has begun to save it: it cannot be said to run on.
    const what = `sandbox ${id} is in the middle of a pause: ${(error as Error).message}`;
    throw failure('HostFailure', what, { cause: error });
  }
}

/** Closes the gate, and looks again under it: an automatic pause of an active sandbox opens it and ends with its answer. */
export async function closeGateUnlessBusy(
  context: HostContext,
  known: Manifest,
  { generation, onlyIfIdleForMs }: PauseVmInput,
): Promise<PauseVmResult | undefined> {
  const { id, phase } = known;
  context.traffic.closeGate(id);
  if (onlyIfIdleForMs === undefined || phase.name !== 'running') return undefined;
  const idleForMs = context.traffic.idleForMs(id);
  if (idleForMs >= onlyIfIdleForMs) return undefined;
  context.traffic.openGate(id);
  await goesOn(context, known, generation);
  return { outcome: 'busy', idleForMs };
}
