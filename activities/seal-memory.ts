import type { MemoryImage } from '../workflows/view.js';
import type { Basis, Manifest } from '../src/host/manifest.js';
import { imageKey } from '../src/keys/sandbox-key.js';
import { sealImage } from '../src/sealing/seal-image.js';
import type { Template } from '../src/template/template.js';
import type { HostContext } from './host-context.js';
import { dataKeyOf } from './machine.js';

/**
 * Seals device state and changed memory of a standing machine into a new durable image of the manifest's generation. What
 * is as it was in the last image stays in that one's files.
 *
 * @returns the image, and what the next pause builds on: to be recorded together
 */
export async function sealMemory(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<{ image: MemoryImage; basis: Basis }> {
  const paths = context.index.paths.sandbox(manifest.id);
  const dataKey = await dataKeyOf(context, manifest.id);
  const key = imageKey(dataKey);
  dataKey.fill(0);
  try {
    const { generation, basis } = manifest;
    const { digest, bytes, files } = await sealImage({
      path: paths.image(generation),
      imageKey: key,
      sandboxId: manifest.id,
      generation,
      templateKey: manifest.templateKey,
      deviceStatePath: paths.deviceState,
      memoryPath: paths.memoryFile,
      baseMemoryPath: template.memory,
      baseExtents: template.memoryExtents,
      ...(basis ? { earlier: { ...basis, pathOf: paths.image } } : {}),
      signal,
    });
    return { image: { generation, digest, bytes, savedAt: Date.now() }, basis: { generation, digest, files } };
  } finally {
    key.fill(0);
  }
}
