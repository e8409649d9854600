import type { PauseVmInput, PauseVmResult } from '../workflows/host-activities.js';
import { wholeView, type DiskImage } from '../workflows/view.js';
import { span } from '../src/tracing/span.js';
import { closeGateUnlessBusy, sleepsAlready, templateToPause } from './begin-pause.js';
import { failure } from './failure.js';
import { fenced } from './fence.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { knownManifest } from './known-manifest.js';
import { powerOff } from './power-off.js';
import { rollBackSave } from './roll-back-save.js';
import { subjectOf } from './step-subject.js';

/**
 * The pause that keeps the disk alone: guest shut down, disk durable, machine gone.
 *
 * Second run: a sandbox that sleeps is the answer, even with more than was asked for. A shutdown that was begun is
 * finished; a guest that has gone meanwhile is put away. What an unfinished pause with memory left is undone first.
 */
export async function shutDownVm(
  context: HostContext,
  input: PauseVmInput,
  signal: AbortSignal,
): Promise<PauseVmResult> {
  const { id, generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = knownManifest(context, subjectOf(input), 'PauseFailed');
    if (known.phase.name === 'lost') throw failure('Lost', `sandbox ${id} is lost: ${known.phase.why}`);
    const asleep = await sleepsAlready(context, known, input);
    if (asleep !== undefined) return asleep;
    context.reached('shut-down.begun');
    const template = known.phase.name === 'saving' ? await templateToPause(context, known, generation) : undefined;
    const busy = await closeGateUnlessBusy(context, known, input);
    if (busy !== undefined) return busy;
    if (template !== undefined) {
      await rollBackSave(context, known, template, new Error('a shutdown came before the pause had ended'), held);
      context.traffic.closeGate(id);
    }
    const paused = wholeView(known.view.spec, input.view);
    const image: DiskImage = { kind: 'disk', generation, savedAt: Date.now() };
    // Nothing undoes it from here on, and it may take long: lists show it as paused.
    const stopping = { ...paused, image, status: 'pausing' as const };
    const manifest = await context.index.change(id, { generation, phase: { name: 'stopping' }, view: stopping });
    context.traffic.announceStop(id);
    context.reached('shut-down.marked');
    await span('power off', () => powerOff(context, manifest, held));
    context.reached('shut-down.powered-off');
    const kept: DiskImage = { ...image, savedAt: Date.now() };
    const saved = await context.index.change(id, {
      ...{ phase: { name: 'saved' }, slot: null, image: kept, basis: null, view: { ...paused, image: kept } },
    });
    context.reached('shut-down.recorded');
    await giveBack(context, { ...saved, slot: manifest.slot });
    return { outcome: 'paused', image: kept };
  });
}
