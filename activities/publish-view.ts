import type { SandboxView } from '../workflows/view.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';

/** Brings the index's row up to date where no machine is touched (a moved deadline). An older or unknown one changes nothing. */
export async function publishView(context: HostContext, input: { view: SandboxView }): Promise<void> {
  const { view } = input;
  await context.locks.hold(view.spec.id, view.generation, new AbortController().signal, async () => {
    const manifest = context.index.get(view.spec.id);
    if (manifest === undefined || view.generation < manifest.view.generation) return;
    if (manifest.view.spec.tenant !== view.spec.tenant) {
      throw failure('ImageDamaged', `the manifest of sandbox ${view.spec.id} names another tenant than its workflow`);
    }
    await context.index.change(view.spec.id, { view });
  });
}
