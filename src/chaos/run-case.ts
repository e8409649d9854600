import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxRun } from '../temporal/sandbox-runs.js';
import { copyOf, damage, putBack, type Copy } from './damage.js';
import type { Fleet } from './fleet.js';
import type { Answer, Guest } from './guest.js';
import { prepare, strike } from './inject.js';
import { machineStarts, usedTwice } from './machine-starts.js';
import { judge, type Ending } from './judge.js';
import type { Case, Step } from './plan.js';
import type { Rig } from './rig.js';

export interface CaseOutcome {
  injected: boolean;
  answer: string;
  outcome: string;
  violation?: string;
}

/** A fault's traces are gone after this; the invariants hold from then on. */
const HOLDS_WITHIN_MS = 30_000;
const ASLEEP: ReadonlySet<Step> = new Set(['resume', 'kill-paused']);

const BY_TIMER: ReadonlySet<Step> = new Set(['auto-pause', 'timeout-kill', 'expiry']);

/** Whether the sandbox has left the state that a timer takes it out of. */
const hasCome = (step: Step, run: SandboxRun): boolean =>
  !BY_TIMER.has(step) || endingOf(run) !== (step === 'expiry' ? 'paused' : 'running');

const endingOf = ({ run, view }: SandboxRun): Ending =>
  run !== 'open' ? 'ended' : view?.status === 'paused' ? 'paused' : 'running';

/** One step under one fault, then: settled within its bound, invariants, memory proof, what the caller was told. */
export async function runCase(
  rig: Rig,
  fleet: Fleet,
  chaos: Case,
  options: { wakeToProve: boolean },
): Promise<CaseOutcome> {
  if (chaos.fault.kind === 'damage') return damageCase(rig, fleet, chaos);
  const guest = await subjectOf(fleet, chaos.step, rig);
  const startsBefore = guest === undefined ? 0 : await machineStarts(guest.id);
  const injection = await prepare(rig, chaos.fault);
  let struck = false;
  let answer: Answer;
  try {
    const step = take(rig, chaos.step, guest).then(async (given) => {
      // What comes by a timer comes after the answer; the fault is meant for it.
      if (guest !== undefined && BY_TIMER.has(chaos.step))
        await rig.settled(guest.id, (run) => hasCome(chaos.step, run));
      return given;
    });
    const [stepped, hit] = await Promise.all([step, strike(rig, chaos.fault, () => guest?.id)]);
    answer = stepped;
    struck = hit;
  } finally {
    await rig.service.ready();
    struck &&= await injection.tookPlace();
    await injection.undo();
  }
  const id =
    guest?.id ?? (answer.body as { sandboxID?: string } | undefined)?.sandboxID ?? (await unclaimed(rig, fleet));
  const said = { injected: struck, answer: String(answer.status) };
  if (id === undefined) return conclude(rig, fleet, chaos, answer, said, undefined, undefined, options);
  const token = (answer.body as { envdAccessToken?: string } | undefined)?.envdAccessToken;
  const marked = guest ?? (token === undefined ? undefined : { id, token });
  const result = await conclude(rig, fleet, chaos, answer, said, id, marked, options);
  const twice = usedTwice(chaos, (await machineStarts(id)) - startsBefore);
  return twice === undefined ? result : { ...result, violation: [result.violation, twice].filter(Boolean).join('; ') };
}

async function subjectOf(fleet: Fleet, step: Step, rig: Rig): Promise<Guest | undefined> {
  switch (step) {
    case 'create':
      return undefined;
    case 'auto-pause':
      return fleet.newGuest({ autoPause: true, timeout: 600 });
    case 'expiry': {
      const guest = await fleet.newGuest({}, rig.shortLivedApi);
      await fleet.pause(guest);
      return guest;
    }
    default:
      return fleet.subject(ASLEEP.has(step));
  }
}

/** Takes the step as its client does; what ends a sandbox is asked for until it is acknowledged. */
async function take(rig: Rig, step: Step, guest: Guest | undefined): Promise<Answer> {
  const { client } = rig;
  const route = `/sandboxes/${guest?.id ?? ''}`;
  switch (step) {
    case 'create':
      return client.call('POST', '/sandboxes', { templateID: 'base', timeout: 3_600 });
    case 'pause':
      return client.call('POST', `${route}/pause`, {});
    case 'resume':
      return client.call('POST', `${route}/connect`, { timeout: 3_600 });
    case 'auto-pause':
    case 'timeout-kill':
      return client.call('POST', `${route}/timeout`, { timeout: 1 });
    case 'expiry':
      return { status: 204, body: undefined };
    case 'terminate':
      await rig.terminate(guest!.id);
      return { status: 204, body: undefined };
    case 'kill':
    case 'kill-paused': {
      let last: Answer = { status: 0, body: undefined };
      for (let attempt = 0; attempt < 20; attempt++) {
        last = await client.call('DELETE', route);
        if (last.status === 204 || last.status === 404) return last;
        await delay(500);
      }
      return last;
    }
  }
}

/** A sandbox of a create that was not answered. */
async function unclaimed(rig: Rig, fleet: Fleet): Promise<string | undefined> {
  return (await rig.openIds()).find((id) => !rig.bystanders.has(id) && !fleet.has(id));
}

async function conclude(
  rig: Rig,
  fleet: Fleet,
  chaos: Case,
  answer: Answer,
  said: Pick<CaseOutcome, 'injected' | 'answer'>,
  id: string | undefined,
  marked: Guest | { id: string; token: string } | undefined,
  { wakeToProve }: { wakeToProve: boolean },
): Promise<CaseOutcome> {
  const settle = (): Promise<SandboxRun> => rig.settled(id!, (run) => hasCome(chaos.step, run));
  if (id !== undefined) await settle();
  const broken = await rig.violations(HOLDS_WITHIN_MS, () => false);
  const ending = id === undefined ? 'ended' : endingOf(await settle());
  const wrong: (string | undefined)[] = [...broken.map(({ what }) => what), judge(chaos, answer, ending)];
  const asleep = ending === 'paused' && !wakeToProve;
  if (id !== undefined && marked !== undefined && ending !== 'ended' && !asleep)
    wrong.push(await proof(rig, fleet, marked, ending));
  wrong.push(await fleet.proveBystanders(false));
  const keeps = ending !== 'ended' && marked !== undefined && 'nonce' in marked && chaos.step !== 'auto-pause';
  if (keeps) fleet.keep(marked, asleep);
  else {
    if (fleet.has(id ?? '')) fleet.keep(undefined);
    if (id !== undefined && ending !== 'ended') await rig.client.call('DELETE', `/sandboxes/${id}`);
  }
  const violation = wrong.filter((text) => text !== undefined).join('; ');
  return { ...said, outcome: ending, ...(violation === '' ? {} : { violation }) };
}

async function proof(
  rig: Rig,
  fleet: Fleet,
  guest: Guest | { id: string; token: string },
  ending: Ending,
): Promise<string | undefined> {
  try {
    if (ending === 'paused') await fleet.wake(guest);
    if ('nonce' in guest) return await rig.client.prove(guest);
    await rig.client.mark(guest.id, guest.token);
    return undefined;
  } catch (error) {
    return `sandbox ${guest.id} should be there: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** An image that is not what was saved is refused; once it is put back, the sandbox wakes as it was. */
async function damageCase(rig: Rig, fleet: Fleet, chaos: Case): Promise<CaseOutcome> {
  const { fault } = chaos;
  if (fault.kind !== 'damage') throw new Error('not a damage');
  const guest = await fleet.subject(true);
  const directory = (id: string): string => path.join(rig.config.stateDir, 'sandboxes', id);
  const older = await copyOf(directory(guest.id));
  await fleet.wake(guest);
  await fleet.pause(guest);
  const good: Copy = await copyOf(directory(guest.id));
  const withManifest = fault.what === 'older-with-manifest';
  const restartHostWorker = async (): Promise<void> => {
    if (!withManifest) return;
    await rig.service.child('host-worker').crash();
    await rig.service.ready();
  };
  await damage(fault.what, directory(guest.id), { older, another: directory(fleet.sleeper.id) });
  await restartHostWorker();
  const answer = await rig.client.call('POST', `/sandboxes/${guest.id}/connect`, { timeout: 3_600 });
  const run = await rig.settled(guest.id);
  const expected = ({ invariant, sandbox }: { invariant: number; sandbox?: string }): boolean =>
    sandbox === guest.id && (invariant === 3 || invariant === 6);
  const broken = await rig.violations(HOLDS_WITHIN_MS, expected);
  const wrong: (string | undefined)[] = [...broken.map(({ what }) => what), judge(chaos, answer, endingOf(run))];
  if (run.view?.damaged === undefined) wrong.push('it is not marked as damaged');
  await putBack(directory(guest.id), good, withManifest);
  await restartHostWorker();
  if (endingOf(run) === 'paused') wrong.push(await proof(rig, fleet, guest, 'paused'));
  fleet.keep(endingOf(run) === 'ended' ? undefined : guest);
  const violation = wrong.filter((text) => text !== undefined).join('; ');
  const outcome = `${endingOf(run)}, refused; good again after it was put back`;
  return { injected: true, answer: String(answer.status), outcome, ...(violation === '' ? {} : { violation }) };
}
