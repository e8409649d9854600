import path from 'node:path';
import { copyOf, damage, putBack, type Copy } from './damage.js';
import { HOLDS_WITHIN_MS, outcome, type CaseOutcome } from './case-outcome.js';
import type { Fleet } from './fleet.js';
import { judge } from './judge.js';
import type { Damage } from './plan.js';
import type { Rig } from './rig.js';
import { proof } from './proof.js';
import { endingOf } from './take-step.js';

/** An image that is not what was saved is refused; once it is put back, the sandbox wakes as it was. */
export async function damageCase(rig: Rig, fleet: Fleet, what: Damage): Promise<CaseOutcome> {
  const guest = await fleet.subject(true);
  const directory = (id: string): string => path.join(rig.config.stateDir, 'sandboxes', id);
  const older = await copyOf(directory(guest.id));
  await fleet.wake(guest);
  await fleet.pause(guest);
  const good: Copy = await copyOf(directory(guest.id));
  const withManifest = what === 'older-with-manifest';
  const restartHostWorker = async (): Promise<void> => {
    if (!withManifest) return;
    await rig.service.child('host-worker').crash();
    await rig.service.ready();
  };
  await damage(what, directory(guest.id), { older, another: directory(fleet.sleeper.id) });
  await restartHostWorker();
  const answer = await rig.client.call('POST', `/sandboxes/${guest.id}/connect`, { timeout: 3_600 });
  const run = await rig.settled(guest.id);
  const ending = endingOf(run);
  const expected = ({ invariant, sandbox }: { invariant: number; sandbox?: string }): boolean =>
    sandbox === guest.id && (invariant === 3 || invariant === 6);
  const broken = await rig.violations(HOLDS_WITHIN_MS, expected);
  const wrong: (string | undefined)[] = [
    ...broken.map((violation) => violation.what),
    judge({ step: 'resume', fault: { kind: 'damage', what } }, answer, ending),
  ];
  if (run.view?.damaged === undefined) wrong.push('it is not marked as damaged');
  await putBack(directory(guest.id), good, withManifest);
  await restartHostWorker();
  if (ending === 'paused') wrong.push(await proof(rig, fleet, guest, 'paused'));
  fleet.keep(ending === 'ended' ? undefined : guest);
  return outcome(true, answer, `${ending}, refused; good again after it was put back`, wrong);
}
