import type { VmFacts } from '../workflows/host-activities.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';

/** Facts for a workflow in doubt. Read only. */
export async function inspectVm(context: HostContext, input: { id: string }): Promise<VmFacts> {
  return factsOf(context, input.id);
}

export async function factsOf(context: HostContext, id: string): Promise<VmFacts> {
  const manifest = context.index.get(id);
  const state = await context.driver.state(domainName(id));
  return {
    generation: context.index.generation(id),
    machine: state === 'paused' ? 'stopped' : state,
    ...(manifest?.image === undefined ? {} : { image: manifest.image }),
    ...(manifest?.phase.name === 'lost' ? { lost: manifest.phase.why } : {}),
  };
}
