import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { DomainSpec } from '../src/libvirt/domain-spec.js';
import type { Manifest } from '../src/host/manifest.js';
import { isCompleteSave } from '../src/libvirt/save-image-header.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { machineSpec } from './machine.js';

const LOOK_EVERY_MS = 5;

/**
 * From here until the end of the pause, or its rollback, no virtual CPU runs.
 *
 * Second run: whole device state beside no running machine is the answer. libvirt goes on with a save whose caller has
 * died, so an unfinished file is not touched: the new save waits for the other one, and finds the machine gone.
 *
 * @returns once the device state is whole; `ended` settles when libvirt has ended the machine, too
 */
export async function saveDeviceState(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  held: AbortSignal,
): Promise<{ ended: Promise<void> }> {
  const { deviceState } = context.index.paths.sandbox(manifest.id);
  const spec = machineSpec(context, manifest, template);
  // In this order: a save that goes on without its caller may end in between. Whole before a look at a machine that runs,
  // it is of an earlier pause; whole only after it, it is the only one there is.
  const before = await isCompleteSave(deviceState);
  // A libvirtd that died at the end of that save lets the machine run again when it comes back: asked for the save, it
  // answers when it has.
  if (before) await context.driver.awaitSave(spec.name, held);
  const state = await context.driver.state(spec.name);
  if (state !== 'running' && (before || (await isCompleteSave(deviceState)))) {
    await context.driver.destroy(spec.name);
    return { ended: Promise.resolve() };
  }
  if (state === 'absent') {
    throw failure('Lost', `the machine of sandbox ${manifest.id} has ended, and its memory was not saved`);
  }
  // It runs: its memory is newer than this device state, which must never be used any more.
  if (before) await rm(deviceState);
  let over = false;
  const ended = span('save', () => save(context, spec, deviceState)).finally(() => (over = true));
  const whole = async (): Promise<void> => {
    while (!over && !(await isCompleteSave(deviceState))) await delay(LOOK_EVERY_MS);
  };
  // What is the matter with a save that fails, `ended` says; and as long as that goes on nothing may be rolled back.
  await Promise.race([ended, whole().catch(() => ended)]);
  return { ended };
}

async function save(context: HostContext, spec: DomainSpec, deviceState: string): Promise<void> {
  try {
    await context.driver.save(spec, deviceState);
  } catch (error) {
    const saved = (await context.driver.state(spec.name)) === 'absent' && (await isCompleteSave(deviceState));
    if (!saved) throw error;
  }
}
