import type { PauseVmInput, PauseVmResult } from '../workflows/host-activities.js';
import type { DiskImage } from '../workflows/view.js';
import { span } from '../src/tracing/span.js';
import { failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { requireTemplate } from './machine.js';
import { powerOff } from './power-off.js';
import { putAway } from './put-away.js';
import { rollBackSave } from './roll-back-save.js';

/**
 * The pause that keeps the disk alone: guest shut down, disk durable, machine gone.
 *
 * Second run: a sandbox that sleeps is the answer, even with more than was asked for. A shutdown that was begun is
 * finished; a guest that has gone meanwhile is put away. What an unfinished pause with memory left is undone first.
 */
export async function shutDownVm(
  context: HostContext,
  input: PauseVmInput,
  signal: AbortSignal,
): Promise<PauseVmResult> {
  const { id, generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = context.index.get(id);
    if (known === undefined) throw failure('Lost', `this host knows nothing of sandbox ${id}`);
    if (known.phase.name === 'lost') throw failure('Lost', `sandbox ${id} is lost: ${known.phase.why}`);
    if (known.phase.name === 'saved' && known.image !== undefined) {
      const view = { ...input.view, image: known.image };
      await context.index.change(id, { generation, view });
      return { outcome: 'paused', image: known.image };
    }
    context.traffic.closeGate(id);
    if (input.onlyIfIdleForMs !== undefined && known.phase.name === 'running') {
      const idleForMs = context.traffic.idleForMs(id);
      if (idleForMs < input.onlyIfIdleForMs) {
        context.traffic.openGate(id);
        return { outcome: 'busy', idleForMs };
      }
    }
    if (known.phase.name === 'saving') {
      const template = await requireTemplate(context, known.templateKey);
      await rollBackSave(context, known, template, new Error('a shutdown came before the pause had ended'));
      context.traffic.closeGate(id);
    }
    const manifest = await context.index.change(id, { generation, phase: { name: 'stopping' } });
    await span('power off', () => powerOff(context, manifest, held));
    const image: DiskImage = { kind: 'disk', generation, savedAt: Date.now() };
    await putAway(context, manifest, { image, view: { ...input.view, image } });
    return { outcome: 'paused', image };
  });
}
