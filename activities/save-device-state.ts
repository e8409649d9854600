import { rm } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import type { Template } from '../src/template/template.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { machineSpec } from './machine.js';

/**
 * From here until the end of the pause, or its rollback, no virtual CPU runs.
 *
 * Second run: whole device state beside no running machine is the answer. libvirt goes on with a save whose caller has
 * died, so an unfinished file is not touched: the new save waits for the other one, and finds the machine gone.
 */
export async function saveDeviceState(context: HostContext, manifest: Manifest, template: Template): Promise<void> {
  const { deviceState } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  const state = await context.driver.state(spec.name);
  const complete = await isCompleteSave(deviceState);
  if (complete && state !== 'running') return context.driver.destroy(spec.name);
  if (state === 'absent') {
    throw failure('Lost', `the machine of sandbox ${manifest.id} has ended, and its memory was not saved`);
  }
  // It runs: its memory is newer than this device state, which must never be used any more.
  if (complete) await rm(deviceState);
  try {
    await context.driver.save(spec, deviceState);
  } catch (error) {
    const saved = (await context.driver.state(spec.name)) === 'absent' && (await isCompleteSave(deviceState));
    if (!saved) throw error;
  }
}
