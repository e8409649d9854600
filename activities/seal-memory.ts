import type { MemoryImage } from '../workflows/view.js';
import type { Basis, Manifest } from '../src/host/manifest.js';
import { imageKey } from '../src/keys/sandbox-key.js';
import { sealImage, type SealedImage } from '../src/sealing/seal-image.js';
import type { SealPool } from '../src/sealing/worker-pool.js';
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
  const { deviceState: deviceStatePath } = context.index.paths.sandbox(manifest.id);
  const { digest, bytes, files } = await seal(context, manifest, template, { deviceStatePath, signal });
  const { generation } = manifest;
  return { image: { generation, digest, bytes, savedAt: Date.now() }, basis: { generation, digest, files } };
}

/**
 * Seals changed memory of a machine that runs into a new durable file of the manifest's generation, from which nothing can
 * be restored.
 *
 * @returns what the next pause builds on
 */
export async function sealRunningMemory(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  pool: SealPool,
  signal: AbortSignal,
): Promise<Basis> {
  const { digest, files } = await seal(context, manifest, template, { pool, signal });
  return { generation: manifest.generation, digest, files };
}

async function seal(
  context: HostContext,
  { id, generation, templateKey, basis }: Manifest,
  template: Template,
  how: { deviceStatePath?: string; pool?: SealPool; signal: AbortSignal },
): Promise<SealedImage> {
  const paths = context.index.paths.sandbox(id);
  const dataKey = await dataKeyOf(context, id);
  const key = imageKey(dataKey);
  dataKey.fill(0);
  try {
    return await sealImage({
      ...{ path: paths.image(generation), imageKey: key, sandboxId: id, generation, templateKey },
      ...{ memoryPath: paths.memoryFile, baseMemoryPath: template.memory, baseExtents: template.memoryExtents },
      ...(basis ? { earlier: { ...basis, pathOf: paths.image } } : {}),
      ...how,
    });
  } finally {
    key.fill(0);
  }
}
