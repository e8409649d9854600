import { randomUUID } from 'node:crypto';
import type { ResumeInput, ResumeResult } from '../../workflows/messages.js';
import { wholeView, type SandboxView } from '../../workflows/view.js';
import type { ApiDeps } from './deps.js';

/** One update per sleep, whoever asks for it, at whichever api: connects and traffic join each other. */
export async function resumeJoined(
  deps: Pick<ApiDeps, 'client' | 'updateIds'>,
  known: SandboxView,
  input: ResumeInput,
): Promise<ResumeResult<SandboxView>> {
  const { view, resumed } = await update(deps, known, input);
  return { view: wholeView(known.spec, view), resumed };
}

function update(
  deps: Pick<ApiDeps, 'client' | 'updateIds'>,
  known: SandboxView,
  input: ResumeInput,
): Promise<ResumeResult> {
  const { id } = known.spec;
  // To a running sandbox every call is news of its own: one of the same name would get the outcome of the first.
  if (known.status === 'running') {
    return deps.client.resume(id, input, { updateId: `${input.mode ?? 'connect'}:${randomUUID()}` });
  }
  const verb = input.memory === false ? 'reboot' : 'resume';
  return deps.updateIds.run(id, verb, known.generation, (updateId) => deps.client.resume(id, input, { updateId }));
}
