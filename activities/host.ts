import { Context } from '@temporalio/activity';
import type { HostActivities } from '../workflows/host-activities.js';
import { assignVm } from './assign-vm.js';
import { bootVm } from './boot-vm.js';
import { createVm } from './create-vm.js';
import { destroyVm } from './destroy-vm.js';
import { asFailure } from './failure.js';
import type { HostContext } from './host-context.js';
import type { InFlight } from './in-flight.js';
import { inspectVm } from './inspect-vm.js';
import { logged } from './logged.js';
import { pauseVm } from './pause-vm.js';
import { publishView } from './publish-view.js';
import { resumeVm } from './resume-vm.js';
import { rotateTokens } from './rotate-tokens.js';
import { shutDownVm } from './shut-down-vm.js';
import { subjectOf } from './step-subject.js';
import { Turns } from './turns.js';

const HEARTBEAT_EVERY_MS = 2_000;

/** Steps of all tenants at once, by kind (`workflows/step-queues.ts`). No measure of what the host can do: each waits for its own sandbox. */
const AT_ONCE = { machine: 64, guest: 2_000 };

/** The host's verbs as Temporal activities: heartbeats while they work, tenants in turn, cancellation, errors of the table. */
export function createHostActivities(
  context: HostContext,
  inFlight: InFlight,
  atOnce: Partial<typeof AT_ONCE> = {},
): HostActivities {
  const machine = new Turns(atOnce.machine ?? AT_ONCE.machine);
  const guest = new Turns(atOnce.guest ?? AT_ONCE.guest);
  const alive = <T>(verb: string, id: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    reported(context, inFlight, verb, id, work);
  return {
    createVm: (input) =>
      logged(context, 'create', input.spec.id, input.generation, () =>
        alive('create', input.spec.id, (signal) =>
          machine.take(input.spec.tenant, signal, () => createVm(context, input, signal)),
        ),
      ),
    assignVm: (input) =>
      logged(context, 'create', input.spec.id, input.generation, () =>
        alive('assign', input.spec.id, (signal) => assignVm(context, input, signal)),
      ),
    pauseVm: (input) =>
      logged(context, 'pause', input.id, input.generation, () =>
        alive('pause', input.id, (signal) =>
          machine.take(subjectOf(input).tenant, signal, () => pauseVm(context, input, signal)),
        ),
      ),
    resumeVm: (input) =>
      logged(context, 'resume', subjectOf(input).id, input.generation, () =>
        alive('resume', subjectOf(input).id, (signal) =>
          guest.take(subjectOf(input).tenant, signal, () => resumeVm(context, input, signal)),
        ),
      ),
    shutDownVm: (input) =>
      logged(
        context,
        'pause',
        input.id,
        input.generation,
        () =>
          alive('shutdown', input.id, (signal) =>
            guest.take(subjectOf(input).tenant, signal, () => shutDownVm(context, input, signal)),
          ),
        { keeps: 'disk' },
      ),
    bootVm: (input) =>
      logged(
        context,
        'resume',
        subjectOf(input).id,
        input.generation,
        () =>
          alive('boot', subjectOf(input).id, (signal) =>
            guest.take(subjectOf(input).tenant, signal, () => bootVm(context, input, signal)),
          ),
        { from: 'disk' },
      ),
    destroyVm: async (input) => {
      await alive('kill', input.id, (signal) => destroyVm(context, input, signal));
      context.journal.forget(input.id);
    },
    inspectVm: (input) => alive('inspect', input.id, () => inspectVm(context, input)),
    idleFor: (input) => Promise.resolve({ idleForMs: context.traffic.idleForMs(input.id) }),
    rotateTokens: (input) => alive('rotate', input.id, (signal) => rotateTokens(context, input, signal)),
    publishView: (input) => alive('publish', subjectOf(input).id, (signal) => publishView(context, input, signal)),
  };
}

async function reported<T>(
  { log }: HostContext,
  inFlight: InFlight,
  verb: string,
  id: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const activity = Context.current();
  // A step that is not noted is only found later after a crash: no reason to fail it.
  const unnoted = (error: unknown): void => log.warn({ sandbox: id, err: error }, 'a step could not be noted');
  const end = await inFlight.begin(activity.info.taskToken).catch((error: unknown) => {
    unnoted(error);
    return () => Promise.resolve();
  });
  const beat = setInterval(() => activity.heartbeat({ verb, sandbox: id }), HEARTBEAT_EVERY_MS);
  try {
    return await work(activity.cancellationSignal);
  } catch (error) {
    activity.cancellationSignal.throwIfAborted();
    throw asFailure(error, 'HostFailure', `${verb} of sandbox ${id}`);
  } finally {
    clearInterval(beat);
    await end().catch(unnoted);
  }
}
