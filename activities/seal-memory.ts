import type { SavedImage } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import { imageKey } from '../src/keys/sandbox-key.js';
import { sealImage } from '../src/sealing/seal-image.js';
import type { Template } from '../src/template/template.js';
import type { HostContext } from './host-context.js';
import { dataKeyOf } from './machine.js';

/** Seals device state and changed memory of a standing machine into a new durable image of the manifest's generation. */
export async function sealMemory(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<SavedImage> {
  const paths = context.index.paths.sandbox(manifest.id);
  const dataKey = await dataKeyOf(context, manifest.id);
  const key = imageKey(dataKey);
  dataKey.fill(0);
  try {
    const sealed = await sealImage({
      path: paths.image(manifest.generation),
      imageKey: key,
      sandboxId: manifest.id,
      generation: manifest.generation,
      templateKey: manifest.templateKey,
      deviceStatePath: paths.deviceState,
      memoryPath: paths.memoryFile,
      baseMemoryPath: template.memory,
      signal,
    });
    return { generation: manifest.generation, digest: sealed.digest, bytes: sealed.bytes, savedAt: Date.now() };
  } finally {
    key.fill(0);
  }
}
