import type { PauseVmInput, PauseVmResult } from '../workflows/host-activities.js';
import { missingForImage } from '../src/host/admission.js';
import { wholeView, type SavedImage } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { closeGateUnlessBusy, goesOn, sleepsAlready, templateToPause } from './begin-pause.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { giveBack } from './give-back.js';
import { factsOf } from './inspect-vm.js';
import { knownManifest } from './known-manifest.js';
import { askForLife, refuseCrashed } from './live-guest.js';
import { rollBackSave } from './roll-back-save.js';
import { saveAndSeal } from './save-and-seal.js';
import { subjectOf } from './step-subject.js';

/**
 * Pause: device state saved, memory sealed, image durable, machine gone; or the machine runs again.
 *
 * Second run, also of an earlier pause whose answer never arrived: a durable image is the answer. Without one, complete
 * device state in tmpfs means that the machine already stands, and only the sealing is left to do.
 */
export async function pauseVm(context: HostContext, input: PauseVmInput, signal: AbortSignal): Promise<PauseVmResult> {
  const { id, generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = knownManifest(context, subjectOf(input), 'PauseFailed');
    const asleep = await sleepsAlready(context, known, input);
    if (asleep !== undefined) return asleep;
    context.reached('pause.begun');
    const liveness = askForLife(context, known, held);
    const template = await templateToPause(context, known, generation);
    const busy = await closeGateUnlessBusy(context, known, input);
    if (busy !== undefined) return busy;
    const found = await span('agent', () => liveness);
    held.throwIfAborted();
    await refuseCrashed(context, known, generation, found);
    const manifest = await mark(context, known, generation);
    const saved = await saveOrRollBack(context, manifest, template, input, held);
    // The image is durable: what fails from here on is finished by the next attempt, and never rolled back.
    await span('give back', () => giveBack(context, { ...saved, slot: manifest.slot }));
    return { outcome: 'paused', image: saved.image };
  });
}

async function saveOrRollBack(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  input: PauseVmInput,
  held: AbortSignal,
): Promise<Manifest & { image: SavedImage }> {
  const { id } = manifest;
  try {
    context.reached('pause.marked');
    const { image, basis } = await saveAndSeal(context, manifest, template, held, () => {
      context.reached('pause.saved');
      context.traffic.cutStreams(id);
    });
    context.reached('pause.sealed');
    const view = { ...wholeView(manifest.view.spec, input.view), image };
    const saved = await context.index.change(id, { phase: { name: 'saved' }, slot: null, image, basis, view });
    return { ...saved, image };
  } catch (error) {
    held.throwIfAborted();
    await rollBackSave(context, manifest, template, error, held);
    throw asFailure(error, 'PauseFailed', `sandbox ${id} could not be paused and runs on`, await factsOf(context, id));
  }
}

/** Before the machine is touched. What fails here has changed nothing. */
async function mark(context: HostContext, known: Manifest, generation: number): Promise<Manifest> {
  const { directory, memoryFile } = context.index.paths.sandbox(known.id);
  try {
    const missing =
      known.phase.name === 'running'
        ? await missingForImage(directory, memoryFile, context.reserved.diskMiB)
        : undefined;
    if (missing !== undefined) throw failure('InsufficientCapacity', `sandbox ${known.id}: ${missing}`);
    const marked = await context.index.change(known.id, { generation, phase: { name: 'saving' } });
    context.traffic.announceStop(known.id);
    return marked;
  } catch (error) {
    if (known.phase.name !== 'running') throw error;
    await goesOn(context, known, generation).catch(() => undefined);
    context.traffic.openGate(known.id);
    throw asFailure(error, 'PauseFailed', `sandbox ${known.id} runs on`, await factsOf(context, known.id));
  }
}
