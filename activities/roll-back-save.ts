import { readFile, rm } from 'node:fs/promises';
import type { Basis, Manifest } from '../src/host/manifest.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { dataKeyOf, machineSpec } from './machine.js';
import { removeImages } from './remove-images.js';
import { wakeGuest, type WokenAfter } from './wake-guest.js';
import { prepareWorkspace } from './workspace.js';

/**
 * After a failed pause: the machine runs again, on its own memory file. What ends it half-way leaves to the next attempt
 * what it found.
 * @returns the guest's boot id.
 * @throws Lost when neither machine nor device state is there; otherwise retryable, with the files still in place.
 */
export async function rollBackSave(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  cause: unknown,
  held: AbortSignal,
): Promise<string> {
  try {
    context.reached('rollback.begun');
    const after = await standAgain(context, manifest, template, cause, held);
    // One that was sealed before the pause failed is dead from the next step on.
    await removeImages(context, { id: manifest.id, basis: withoutFileOf(manifest) });
    held.throwIfAborted();
    await context.driver.run(machineSpec(context, manifest, template).name);
    context.reached('rollback.ran');
    const bootId = await wakeGuest(context, manifest, held, after);
    context.reached('rollback.agent-ready');
    held.throwIfAborted();
    await context.index.change(manifest.id, { phase: { name: 'running' }, bootId });
    context.reached('rollback.settled');
    context.traffic.openGate(manifest.id);
    return bootId;
  } catch (error) {
    context.log.error({ sandbox: manifest.id, err: error }, 'the rollback of a failed pause failed');
    throw error;
  }
}

/** What was sealed ahead may be in this generation, too: an attempt of the pause that came after it has its file's name. */
const withoutFileOf = ({ generation, basis }: Manifest): Basis | null =>
  basis ? { ...basis, files: basis.files.filter((file) => file !== generation) } : null;

/**
 * Makes sure that there is a machine on the memory file, standing or running, and no device state any more.
 *
 * Danger: device state is single-use. It is unlinked before any virtual CPU runs on the memory again, so that no later
 * attempt can pair it with newer memory. As long as it is there and whole, and no machine runs, it is what counts: a
 * machine that stands beside it may be half restored, by an attempt that was interrupted.
 */
export async function standAgain(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  cause: unknown,
  held: AbortSignal,
): Promise<WokenAfter> {
  const { deviceState, restorePipe } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  // A save of an attempt that has died would go on writing into the file that is unlinked here, and end its machine.
  await context.driver.awaitSave(spec.name, held);
  const state = await context.driver.state(spec.name);
  let after: WokenAfter = 'adoption';
  if (state !== 'running') {
    if (await isCompleteSave(deviceState)) {
      await context.driver.destroy(spec.name);
      const dataKey = await dataKeyOf(context, manifest.id);
      // The disk's secret is in libvirtd's memory only, and libvirtd may have been restarted since.
      await prepareWorkspace(context, manifest, dataKey).finally(() => dataKey.fill(0));
      const head = await readFile(deviceState);
      held.throwIfAborted();
      await context.driver.restore(spec, { pipe: restorePipe, head, whole: Promise.resolve(head) });
      after = 'restore';
    } else if (state === 'absent') {
      const why = `its machine ended during a pause (${cause instanceof Error ? cause.message : String(cause)})`;
      await context.index.change(manifest.id, { phase: { name: 'lost', why } });
      throw failure('Lost', `sandbox ${manifest.id} is lost: ${why}`, { cause });
    }
  }
  context.reached('rollback.restored');
  await rm(deviceState, { force: true });
  context.reached('rollback.device-state-removed');
  return after;
}
