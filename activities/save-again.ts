import { rm } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { saveAndSeal } from './save-and-seal.js';

/**
 * After `run`, when the agent never answered: the old image is dead, so the machine as it now is becomes the image of
 * this generation. As long as the machine or its device state is there, it is tried again; without both it is lost.
 */
export async function saveAgain(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<void> {
  const saved = await saveOnceMore(context, manifest, template, signal);
  context.reached('save-again.recorded');
  // The image is durable: what fails from here on is finished by the next attempt.
  await giveBack(context, { ...saved, slot: manifest.slot });
  context.reached('save-again.cleared');
}

async function saveOnceMore(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<Manifest> {
  try {
    context.reached('save-again.begun');
    await rm(context.index.paths.sandbox(manifest.id).deviceState, { force: true });
    // From here on what is in tmpfs counts, should this attempt end half-way.
    await context.index.change(manifest.id, { phase: { name: 'saving' } });
    context.reached('save-again.marked');
    const { image, basis } = await saveAndSeal(context, manifest, template, signal, () =>
      context.reached('save-again.saved'),
    );
    context.reached('save-again.sealed');
    const view = { ...manifest.view, image };
    return await context.index.change(manifest.id, { phase: { name: 'saved' }, slot: null, image, basis, view });
  } catch (error) {
    signal.throwIfAborted();
    const what = `sandbox ${manifest.id}: its agent did not answer after a resume, and it could not be saved again`;
    const { deviceState } = context.index.paths.sandbox(manifest.id);
    const machine = await context.driver.state(domainName(manifest.id));
    // Memory and machine, or memory and device state, are still there: the next attempt goes on from them.
    if (machine !== 'absent' || (await isCompleteSave(deviceState)))
      throw failure('HostFailure', what, { cause: error });
    const why = 'its agent did not answer after a resume, and its machine ended before it was saved again';
    await context.index.change(manifest.id, { phase: { name: 'lost', why } });
    throw failure('Lost', `sandbox ${manifest.id} is lost: ${why}`, { cause: error });
  }
}
