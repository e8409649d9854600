import type { SandboxRun } from '../temporal/sandbox-runs.js';
import { HOLDS_WITHIN_MS, outcome, type CaseOutcome } from './case-outcome.js';
import { damageCase } from './damage-case.js';
import type { Fleet } from './fleet.js';
import type { Answer, Guest } from './guest.js';
import { prepare, strike } from './inject.js';
import { judge, type Ending } from './judge.js';
import { machineStarts, usedTwice } from './machine-starts.js';
import type { Case, Step } from './plan.js';
import { powerCase } from './power-case.js';
import { proof } from './proof.js';
import type { Rig } from './rig.js';
import { ROTATIONS, stillOpens, withNewToken } from './rotation.js';
import { endingOf, hasCome, subjectOf, take } from './take-step.js';

/** Steps whose sandbox is new each time, and goes after the case. */
const OF_ITS_OWN: ReadonlySet<Step> = new Set(['auto-pause', 'seal-ahead', 'wake', 'shut-down', 'boot', 'expiry']);

/** One step under one fault, then: settled within its bound, invariants, memory proof, what the caller was told. */
export async function runCase(
  rig: Rig,
  fleet: Fleet,
  chaos: Case,
  options: { wakeToProve: boolean },
): Promise<CaseOutcome> {
  if (chaos.fault.kind === 'damage') return damageCase(rig, fleet, chaos.fault.what);
  if (chaos.fault.kind === 'power-loss') return powerCase(rig, fleet, chaos);
  if (chaos.step !== 'assign') return stepCase(rig, fleet, chaos, options);
  await rig.resizeWarmPool(1);
  try {
    return await stepCase(rig, fleet, chaos, options);
  } finally {
    await rig.resizeWarmPool(0);
  }
}

async function stepCase(rig: Rig, fleet: Fleet, chaos: Case, options: { wakeToProve: boolean }): Promise<CaseOutcome> {
  const guest = await subjectOf(fleet, chaos.step, rig);
  const startsBefore = guest === undefined ? 0 : await machineStarts(guest.id);
  // Of a create nobody knows the id yet: it is the one that is new.
  const aimedAt = (id: string): boolean =>
    guest === undefined ? !rig.bystanders.has(id) && !fleet.has(id) : id === guest.id;
  const injection = await prepare(rig, chaos.fault, guest);
  let injected = false;
  let answer: Answer;
  try {
    [answer, injected] = await Promise.all([take(rig, chaos.step, guest), strike(rig, chaos.fault, aimedAt)]);
  } finally {
    await rig.service.ready();
    injected &&= await injection.tookPlace();
    await injection.undo();
  }
  const { sandboxID, envdAccessToken: token } = (answer.body ?? {}) as { sandboxID?: string; envdAccessToken?: string };
  const id = guest?.id ?? sandboxID ?? (await unclaimed(rig, fleet));
  const rotated =
    guest !== undefined && ROTATIONS.has(chaos.step) ? await afterRotation(rig, guest, answer) : undefined;
  const marked = rotated ?? guest ?? (token === undefined || id === undefined ? undefined : { id, token });
  const { ending, wrong } = await conclude(rig, fleet, chaos, {
    ...{ answer, id, marked, ...options },
    former: rotated === undefined ? undefined : guest,
  });
  if (id !== undefined) wrong.push(usedTwice(chaos, (await machineStarts(id)) - startsBefore));
  return outcome(injected, answer, ending, wrong);
}

/** Once it is where it stays. @returns undefined where that is its end. */
async function afterRotation(rig: Rig, guest: Guest, answer: Answer): Promise<Guest | undefined> {
  if (endingOf(await rig.settled(guest.id)) === 'ended') return undefined;
  return withNewToken(rig, guest, answer);
}

/** A sandbox of a create that was not answered. */
async function unclaimed(rig: Rig, fleet: Fleet): Promise<string | undefined> {
  return (await rig.openIds()).find((id) => !rig.bystanders.has(id) && !fleet.has(id));
}

async function conclude(
  rig: Rig,
  fleet: Fleet,
  chaos: Case,
  {
    answer,
    id,
    marked,
    former,
    wakeToProve,
  }: {
    answer: Answer;
    id: string | undefined;
    marked: Guest | { id: string; token: string } | undefined;
    /** With the token from before its rotation. */
    former: Guest | undefined;
    wakeToProve: boolean;
  },
): Promise<{ ending: Ending; wrong: (string | undefined)[] }> {
  const settle = (): Promise<SandboxRun> => rig.settled(id!, (run) => hasCome(chaos.step, run));
  if (id !== undefined) await settle();
  const broken = await rig.violations(HOLDS_WITHIN_MS, () => false);
  const ending = id === undefined ? 'ended' : endingOf(await settle());
  const wrong: (string | undefined)[] = [...broken.map(({ what }) => what), judge(chaos, answer, ending)];
  const asleep = ending === 'paused' && !wakeToProve;
  if (marked !== undefined && ending !== 'ended' && !asleep) wrong.push(await proof(rig, fleet, marked, ending));
  if (marked !== undefined && former !== undefined && ending !== 'ended' && !asleep)
    wrong.push(await stillOpens(rig, former, marked.token));
  wrong.push(await fleet.proveBystanders(false));
  const keeps = ending !== 'ended' && marked !== undefined && 'nonce' in marked && !OF_ITS_OWN.has(chaos.step);
  if (keeps) fleet.keep(marked, asleep);
  else {
    if (fleet.has(id ?? '')) fleet.keep(undefined);
    if (id !== undefined && ending !== 'ended') await rig.client.call('DELETE', `/sandboxes/${id}`);
  }
  return { ending, wrong };
}
