import { rm } from 'node:fs/promises';
import type { PauseVmInput, PauseVmResult } from '../workflows/host-activities.js';
import type { SavedImage } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import { span } from '../src/tracing/span.js';
import type { Template } from '../src/template/template.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { domainName, machineSpec, requireTemplate } from './machine.js';
import { rollBackSave } from './roll-back-save.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import { sealMemory } from './seal-memory.js';
import { clearWorkspace } from './workspace.js';

/**
 * Pause: device state saved, memory sealed, image durable, machine gone; or the machine runs again.
 *
 * Second run: an image of this generation is the answer. Without one, complete device state in tmpfs means that the
 * machine already stands, and only the sealing is left to do.
 */
export async function pauseVm(context: HostContext, input: PauseVmInput, signal: AbortSignal): Promise<PauseVmResult> {
  const { id, generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = context.index.get(id);
    if (known === undefined) throw failure('Lost', `this host knows nothing of sandbox ${id}`);
    if (known.phase.name === 'saved' && known.image?.generation === generation) {
      return { outcome: 'paused', image: known.image };
    }
    context.traffic.closeGate(id);
    if (input.onlyIfIdleForMs !== undefined && known.phase.name === 'running') {
      const idleForMs = context.traffic.idleForMs(id);
      if (idleForMs < input.onlyIfIdleForMs) {
        context.traffic.openGate(id);
        return { outcome: 'busy', idleForMs };
      }
    }
    const template = await requireTemplate(context, known.templateKey);
    const manifest = await context.index.change(id, { generation, phase: { name: 'saving' } });
    try {
      await span('save', () => saveDeviceState(context, manifest, template));
      context.traffic.cutStreams(id);
      const image = await span('seal', () => sealMemory(context, manifest, template, held));
      await span('settle', () => settle(context, manifest, image, input));
      return { outcome: 'paused', image };
    } catch (error) {
      held.throwIfAborted();
      await rollBackSave(context, manifest, template, error);
      throw asFailure(
        error,
        'PauseFailed',
        `sandbox ${id} could not be paused and runs on`,
        await factsOf(context, id),
      );
    }
  });
}

/** From here until the end of the pause, or its rollback, no virtual CPU runs. */
async function saveDeviceState(context: HostContext, manifest: Manifest, template: Template): Promise<void> {
  const { deviceState } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  if ((await context.driver.state(spec.name)) === 'absent') {
    if (await isCompleteSave(deviceState)) return;
    throw failure('Lost', `the machine of sandbox ${manifest.id} has ended, and its memory was not saved`);
  }
  await rm(deviceState, { force: true });
  await context.driver.save(spec, deviceState);
}

async function settle(context: HostContext, manifest: Manifest, image: SavedImage, input: PauseVmInput): Promise<void> {
  const before = context.index.get(manifest.id)?.image;
  await context.index.change(manifest.id, {
    phase: { name: 'saved' },
    slot: null,
    image,
    view: { ...input.view, image },
  });
  const paths = context.index.paths.sandbox(manifest.id);
  if (before !== undefined && before.generation !== image.generation)
    await rm(paths.image(before.generation), { force: true });
  await context.driver.destroy(domainName(manifest.id));
  await clearWorkspace(context, manifest);
}
