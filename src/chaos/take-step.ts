import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxRun } from '../temporal/sandbox-runs.js';
import type { Fleet } from './fleet.js';
import type { Answer, Guest } from './guest.js';
import type { Ending } from './judge.js';
import type { Step } from './plan.js';
import type { Rig } from './rig.js';
import { rotate } from './rotation.js';

const ASLEEP: ReadonlySet<Step> = new Set(['resume', 'kill-paused', 'rotate-paused']);
const BY_TIMER: ReadonlySet<Step> = new Set(['auto-pause', 'seal-ahead', 'timeout-kill', 'expiry']);
/** Half of it is over before anything is sealed: time to arm the fault. */
const QUIET_SECONDS = 20;

export const endingOf = ({ run, view }: SandboxRun): Ending =>
  run !== 'open' ? 'ended' : view?.status === 'paused' ? 'paused' : 'running';

/** Whether the sandbox has left the state that a timer takes it out of. */
export const hasCome = (step: Step, run: SandboxRun): boolean =>
  !BY_TIMER.has(step) || endingOf(run) !== (step === 'expiry' ? 'paused' : 'running');

/** The sandbox that the step is taken on, in the state that it begins in. */
export async function subjectOf(fleet: Fleet, step: Step, rig: Rig): Promise<Guest | undefined> {
  const asleep = async (guest: Guest): Promise<Guest> => {
    await fleet.pause(guest);
    return guest;
  };
  switch (step) {
    case 'create':
    case 'assign':
      return undefined;
    case 'auto-pause':
      return fleet.newGuest({ autoPause: true, timeout: 600 });
    case 'seal-ahead':
      return fleet.newGuest({ autoPause: true, timeout: QUIET_SECONDS });
    case 'wake':
      return asleep(await fleet.newGuest({ autoPause: true, autoResume: { enabled: true } }));
    case 'expiry':
      return asleep(await fleet.newGuest({}, { api: rig.shortLivedApi }));
    case 'shut-down':
      return fleet.newGuest({}, { keeps: 'disk' });
    case 'boot':
      return asleep(await fleet.newGuest({}, { keeps: 'disk' }));
    default:
      return fleet.subject(ASLEEP.has(step));
  }
}

/** Takes the step as its client does, and waits for what comes after the answer; the answer is the client's. */
export async function take(rig: Rig, step: Step, guest: Guest | undefined): Promise<Answer> {
  const answer = await ask(rig, step, guest);
  // What comes by a timer comes after the answer; the fault is meant for it.
  if (guest !== undefined && BY_TIMER.has(step)) await rig.settled(guest.id, (run) => hasCome(step, run));
  // "Not known yet": it goes on, and what the fault is meant for may be still to come.
  if (guest !== undefined && answer.status === 504) await rig.settled(guest.id);
  return answer;
}

async function ask(rig: Rig, step: Step, guest: Guest | undefined): Promise<Answer> {
  const { client } = rig;
  const route = `/sandboxes/${guest?.id ?? ''}`;
  switch (step) {
    case 'create':
    case 'assign':
      return client.call('POST', '/sandboxes', { templateID: 'base', timeout: 3_600 });
    case 'pause':
      return client.call('POST', `${route}/pause`, {});
    case 'shut-down':
      return client.call('POST', `${route}/pause`, { memory: false });
    case 'resume':
    case 'boot':
      return client.call('POST', `${route}/connect`, { timeout: 3_600 });
    case 'wake':
      return client.visit(guest!);
    case 'auto-pause':
    case 'timeout-kill':
      return client.call('POST', `${route}/timeout`, { timeout: 1 });
    case 'rotate':
    case 'rotate-paused':
      return rotate(rig, guest!);
    case 'expiry':
    case 'seal-ahead':
      return { status: 204, body: undefined };
    case 'terminate':
      await rig.terminate(guest!.id);
      return { status: 204, body: undefined };
    case 'kill':
    case 'kill-paused':
      return killed(() => client.call('DELETE', route));
  }
}

/** What ends a sandbox is asked for until it is acknowledged. */
async function killed(kill: () => Promise<Answer>): Promise<Answer> {
  let last: Answer = { status: 0, body: undefined };
  for (let attempt = 0; attempt < 20; attempt++) {
    last = await kill();
    if (last.status === 204 || last.status === 404) return last;
    await delay(500);
  }
  return last;
}
