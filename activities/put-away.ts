import { rm } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import type { HostContext } from './host-context.js';
import { clearWorkspace } from './workspace.js';

/**
 * A sandbox whose machine is gone sleeps on its disk: nothing in memory is needed any more. Its slot is given back last,
 * after the manifest has let go of it, so that a second run never gives back what is another sandbox's by then.
 */
export async function putAway(
  context: HostContext,
  manifest: Manifest,
  change: Partial<Pick<Manifest, 'image' | 'view'>> = {},
): Promise<Manifest> {
  await clearWorkspace(context, { ...manifest, slot: null });
  const image = change.image ?? manifest.image;
  const saved = await context.index.change(manifest.id, { ...change, phase: { name: 'saved' }, slot: null });
  if (image?.kind === 'disk' && manifest.image !== undefined) {
    await rm(context.index.paths.sandbox(manifest.id).image(manifest.image.generation), { force: true });
  }
  await clearWorkspace(context, manifest);
  return saved;
}
