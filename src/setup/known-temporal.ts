import path from 'node:path';
import { readJson, writeDurably } from '../durable-file.js';

/**
 * The state directory remembers which Temporal namespace its sandboxes' workflows are in. In another one every sandbox
 * would look as if nobody knew it, and be removed.
 * @throws Error when it is another one.
 */
export async function requireKnownTemporal(stateDir: string, namespaceId: string): Promise<void> {
  const file = path.join(stateDir, 'temporal-namespace');
  const known = await readJson(file);
  if (known === undefined) return writeDurably(file, JSON.stringify(namespaceId));
  if (known === namespaceId) return;
  throw new Error(
    `the Temporal that answers is not the one that ${stateDir} belongs to (namespace ${namespaceId}, not ${String(known)}). ` +
      `Nothing is repaired. Bring the old one back; or, if its workflows are gone for good, remove ${file}: sandboxes without a workflow are destroyed then.`,
  );
}
