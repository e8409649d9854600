import type { Basis, Manifest } from '../src/host/manifest.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import type { MemoryImage } from '../workflows/view.js';
import { allOf } from './all-of.js';
import type { HostContext } from './host-context.js';
import { saveDeviceState } from './save-device-state.js';
import { sealMemory } from './seal-memory.js';

/**
 * A machine becomes a durable image. libvirt takes two tenths of a second to end a QEMU whose device state is already
 * whole; memory is sealed meanwhile, since no virtual CPU runs any more.
 *
 * @param saved called in between
 * @returns once the machine has ended; it has, or libvirt has given up, also when this rejects
 */
export async function saveAndSeal(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
  saved: () => void,
): Promise<{ image: MemoryImage; basis: Basis }> {
  const { ended } = await saveDeviceState(context, manifest, template, signal);
  const sealing = async (): Promise<{ image: MemoryImage; basis: Basis }> => {
    saved();
    return span('seal', () => sealMemory(context, manifest, template, signal));
  };
  const sealed = sealing();
  // In this order: a sealing that finds no device state is the consequence of a save that failed.
  await allOf(ended, sealed);
  return sealed;
}
