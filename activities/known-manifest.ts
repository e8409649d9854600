import type { ErrorCode } from '../workflows/errors.js';
import type { SandboxSpec } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';

/**
 * What this host knows of the sandbox that a workflow speaks of. A manifest that is not authentic, or says that the
 * sandbox is another tenant's, is no reason to end the sandbox: a good one may be put back.
 *
 * @throws `Lost` when there is none; `ifDamaged` when it is not to be believed
 */
export function knownManifest(
  context: HostContext,
  { id, tenant }: Pick<SandboxSpec, 'id' | 'tenant'>,
  ifDamaged: ErrorCode,
): Manifest {
  if (context.index.isUnreadable(id)) {
    const what = `the manifest of sandbox ${id} cannot be read or is not authentic; kill it, or bring a good one back and start the host worker again`;
    throw failure(ifDamaged, what);
  }
  const known = context.index.get(id);
  if (known === undefined) throw failure('Lost', `this host knows nothing of sandbox ${id}`);
  if (known.view.spec.tenant !== tenant) {
    throw failure(ifDamaged, `the manifest of sandbox ${id} names another tenant than its workflow; kill it`);
  }
  return known;
}
