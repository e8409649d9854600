import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { keptImages, type Manifest } from '../src/host/manifest.js';
import type { HostContext } from './host-context.js';

/** Removes the sealed images that the manifest does not count on, and what interrupted attempts at writing one left. */
export async function removeImages(
  context: HostContext,
  manifest: Pick<Manifest, 'id' | 'image' | 'basis'>,
): Promise<void> {
  const paths = context.index.paths.sandbox(manifest.id);
  const kept = new Set(keptImages(manifest).map((generation) => path.basename(paths.image(generation))));
  for (const name of await readdir(paths.directory)) {
    if (!kept.has(name) && /^image-\d+\.sealed(\.|$)/.test(name))
      await rm(path.join(paths.directory, name), { force: true });
  }
}
