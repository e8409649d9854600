import { randomUUID } from 'node:crypto';
import type { ResumeInput, ResumeResult } from '../../workflows/messages.js';
import { wholeView, type SandboxView } from '../../workflows/view.js';
import { admitted, claimOf } from './admitted.js';
import type { ApiDeps } from './deps.js';

type Resuming = Pick<ApiDeps, 'client' | 'updateIds' | 'admission'>;

/** One update per sleep, whoever asks for it, at whichever api: connects and traffic join each other. */
export async function resumeJoined(
  deps: Resuming,
  known: SandboxView,
  input: ResumeInput,
): Promise<ResumeResult<SandboxView>> {
  const { view, resumed } = await admittedResume(deps, known, input, () => update(deps, known, input));
  return { view: wholeView(known.spec, view), resumed };
}

/** Also of one that is said to run: it may be paused by the time that its workflow is asked, and another be let in. */
export function admittedResume<T>(
  deps: Pick<ApiDeps, 'admission'>,
  { spec }: SandboxView,
  { onTimeout = spec.onTimeout }: ResumeInput,
  work: () => Promise<T>,
): Promise<T> {
  return admitted(deps.admission, spec.tenant, claimOf('resume', spec, onTimeout === 'pause'), work);
}

function update(deps: Resuming, known: SandboxView, input: ResumeInput): Promise<ResumeResult> {
  const { id } = known.spec;
  // To a running sandbox every call is news of its own: one of the same name would get the outcome of the first.
  if (known.status === 'running') {
    return deps.client.resume(id, input, { updateId: `${input.mode ?? 'connect'}:${randomUUID()}` });
  }
  const verb = input.memory === false ? 'reboot' : 'resume';
  return deps.updateIds.run(id, verb, known.generation, (updateId) => deps.client.resume(id, input, { updateId }));
}
