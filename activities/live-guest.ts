import { setTimeout as delay } from 'node:timers/promises';
import { AGENT_PORT } from '../src/gateway/wire.js';
import { health } from '../src/guest/client.js';
import type { Manifest } from '../src/host/manifest.js';
import { slotAddress } from '../src/host/slots.js';
import { within } from '../src/within.js';
import { goesOn } from './begin-pause.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { domainName } from './machine.js';

/** Then it is looked whether there is anybody to answer. */
const FIRST_TRY_MS = 2_000;
const TRY_EVERY_MS = 200;

/** `stands`: its virtual CPUs do, as for want of room on a disk, and nothing can be said of the guest. */
export type Liveness = 'lives' | 'stands' | 'silent' | 'ended';

/** Asks a running sandbox's agent. Never rejects, so that it may be asked beside other work. */
export async function askForLife(context: HostContext, known: Manifest, signal: AbortSignal): Promise<Liveness> {
  const { id, slot, phase } = known;
  if (phase.name !== 'running' || slot === null) return 'lives';
  const { answersWithinMs } = context.life;
  const limit = within(answersWithinMs, signal);
  for (let tryMs = FIRST_TRY_MS; !limit.aborted; tryMs = answersWithinMs) {
    const answered = await health({ host: slotAddress(slot), port: AGENT_PORT }, within(tryMs, limit)).then(
      () => true,
      () => false,
    );
    if (answered) {
      context.life.heard(id);
      return 'lives';
    }
    const state = await context.driver.state(domainName(id)).catch(() => 'running' as const);
    if (state === 'absent') return 'ended';
    if (state === 'paused') return 'stands';
    await delay(TRY_EVERY_MS, undefined, { signal: limit }).catch(() => undefined);
  }
  return 'silent';
}

/**
 * What has crashed is not saved: the pause would be acknowledged, and nothing would ever wake from it. The sandbox runs on
 * in `generation`, or is lost once it is known to have crashed.
 */
export async function refuseCrashed(
  context: HostContext,
  known: Manifest,
  generation: number,
  liveness: Liveness,
): Promise<void> {
  const { id } = known;
  if (liveness === 'lives' || liveness === 'stands') return;
  const crash = liveness === 'ended' ? context.life.howItEnded(id) : context.life.crashed(id);
  if (liveness === 'ended') {
    const why = crash ?? 'its machine ended before a pause';
    await context.index.change(id, { generation, phase: { name: 'lost', why } });
    throw failure('Lost', `sandbox ${id} is lost: ${why}`);
  }
  await goesOn(context, known, generation);
  if (crash !== undefined && context.onCrash !== 'reboot') throw failure('Lost', `sandbox ${id} is lost: ${crash}`);
  context.traffic.openGate(id);
  const what = `sandbox ${id} was not paused and runs on: its agent has not answered for ${context.life.answersWithinMs / 1000} s, so its guest may have crashed. Pause it again when it answers; {"memory": false} keeps its disk alone.`;
  throw failure('PauseFailed', what, { facts: await factsOf(context, id) });
}
