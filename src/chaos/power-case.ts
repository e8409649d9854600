import { HOLDS_WITHIN_MS, outcome, type CaseOutcome } from './case-outcome.js';
import type { Fleet } from './fleet.js';
import { judge } from './judge.js';
import { machineStarts } from './machine-starts.js';
import type { Case } from './plan.js';
import type { Rig } from './rig.js';
import { proof } from './proof.js';
import { newToken, stillOpens } from './rotation.js';
import { endingOf, subjectOf, take } from './take-step.js';

/**
 * A step, and the moment its caller has the answer the machine loses its power. What was acknowledged as paused is there
 * afterwards, with its memory; what was killed is not; an image that was let run is never used again.
 */
export async function powerCase(rig: Rig, fleet: Fleet, chaos: Case): Promise<CaseOutcome> {
  const guest = await subjectOf(fleet, chaos.step, rig);
  const answer = await take(rig, chaos.step, guest);
  const id = guest?.id ?? (answer.body as { sandboxID: string }).sandboxID;
  const starts = await machineStarts(id);
  await rig.losePower();
  if (fleet.has(id)) fleet.keep(undefined);
  fleet.afterPowerLoss();
  const run = await rig.settled(id, (now) => endingOf(now) !== 'running');
  const broken = await rig.violations(HOLDS_WITHIN_MS, () => false);
  const ending = endingOf(run);
  const wrong: (string | undefined)[] = [...broken.map(({ what }) => what), judge(chaos, answer, ending)];
  if ((await machineStarts(id)) !== starts) wrong.push(`the machine of sandbox ${id} was started again by itself`);
  if (guest !== undefined && ending === 'paused') {
    const token = newToken(answer);
    wrong.push(await proof(rig, fleet, { ...guest, ...(token === undefined ? {} : { token }) }, 'paused'));
    if (token !== undefined) wrong.push(await stillOpens(rig, guest, token));
    await rig.client.call('DELETE', `/sandboxes/${id}`);
  }
  wrong.push(await fleet.proveBystanders(true));
  await fleet.muster();
  return outcome(true, answer, ending, wrong);
}
