import type { SandboxChange, SandboxSpec } from '../workflows/view.js';

type Subject = Pick<SandboxSpec, 'id' | 'tenant'>;

/** What a step's input says of its sandbox. One that a workflow of an earlier version asked for has the whole spec. */
export interface OfSandbox {
  id?: string;
  tenant?: string;
  spec?: Subject;
  view: SandboxChange;
}

/** Whose step it is. */
export function subjectOf({ id, tenant, spec, view }: OfSandbox): Subject {
  const former = spec ?? view.spec;
  return { id: id ?? former?.id ?? '', tenant: tenant ?? former?.tenant ?? '' };
}
