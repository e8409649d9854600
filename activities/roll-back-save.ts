import { rm } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { machineSpec } from './machine.js';
import { wakeGuest } from './wake-guest.js';

/**
 * After a failed pause: the machine runs again, on its own memory file.
 *
 * Danger: device state is single-use. It is unlinked before any virtual CPU runs on the memory again, so that no later
 * attempt can pair it with newer memory.
 * @returns the guest's boot id.
 * @throws Lost when neither machine nor device state is there; otherwise retryable, with the files still in place.
 */
export async function rollBackSave(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  cause: unknown,
): Promise<string> {
  const { deviceState } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  try {
    if ((await context.driver.state(spec.name)) === 'absent') {
      if (!(await isCompleteSave(deviceState))) {
        const why = `its machine ended during a pause (${cause instanceof Error ? cause.message : String(cause)})`;
        await context.index.change(manifest.id, { phase: { name: 'lost', why } });
        throw failure('Lost', `sandbox ${manifest.id} is lost: ${why}`, { cause });
      }
      await context.driver.restore(spec, deviceState);
    }
    await rm(deviceState, { force: true });
    await context.driver.run(spec.name);
    const bootId = await wakeGuest(context, manifest, AbortSignal.timeout(60_000));
    await context.index.change(manifest.id, { phase: { name: 'running' }, bootId });
    context.traffic.openGate(manifest.id);
    return bootId;
  } catch (error) {
    context.log.error({ sandbox: manifest.id, err: error }, 'the rollback of a failed pause failed');
    throw error;
  }
}
