import type { PublishViewInput } from '../workflows/host-activities.js';
import { wholeView } from '../workflows/view.js';
import { within } from '../src/within.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { subjectOf } from './step-subject.js';

/** Less than the attempt has: one that waits for its sandbox's lock must not keep a slot from others for longer. */
const WITHIN_MS = 8_000;

/** Brings the index's row up to date where no machine is touched (a moved deadline). An older or unknown one changes nothing. */
export async function publishView(
  context: HostContext,
  input: PublishViewInput,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { view } = input;
  const { id, tenant } = subjectOf(input);
  await context.locks.hold(id, view.generation, within(WITHIN_MS, signal), async () => {
    const manifest = context.index.get(id);
    if (manifest === undefined || view.generation < manifest.view.generation) return;
    const { spec } = manifest.view;
    if (spec.tenant !== tenant) {
      throw failure('ImageDamaged', `the manifest of sandbox ${id} names another tenant than its workflow`);
    }
    await context.index.change(id, { view: wholeView(spec, view) });
  });
}
