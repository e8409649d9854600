import { rm } from 'node:fs/promises';
import type { ResumeVmInput, VmRunning } from '../workflows/host-activities.js';
import { measureRoom, missingRoom } from '../src/host/admission.js';
import type { Manifest } from '../src/host/manifest.js';
import { imageKey } from '../src/keys/sandbox-key.js';
import { openImage } from '../src/sealing/open-image.js';
import { span } from '../src/tracing/span.js';
import type { Template } from '../src/template/template.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { dataKeyOf, domainName, machineSpec, requireTemplate } from './machine.js';
import { rollBackSave } from './roll-back-save.js';
import { saveAgain } from './save-again.js';
import { wakeGuest } from './wake-guest.js';
import { claimSlot, clearWorkspace, prepareWorkspace } from './workspace.js';

/**
 * Resume: image authenticated, machine restored standing, image marked consumed, machine let run, agent initialised.
 * Before `run` failure changes nothing; from `run` on the old image is dead.
 *
 * Second run: a consumed mark of this generation with a live machine goes on from `run`; without one, the sandbox is
 * lost. Without a mark, everything but the image is cleared away and made anew. A machine that runs is never touched.
 */
export async function resumeVm(context: HostContext, input: ResumeVmInput, signal: AbortSignal): Promise<VmRunning> {
  const { id } = input.spec;
  const { generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = context.index.get(id);
    if (known === undefined) throw failure('Lost', `this host knows nothing of sandbox ${id}`);
    const live = await context.driver.state(domainName(id));
    if (known.phase.name === 'lost') throw failure('Lost', `sandbox ${id} is lost: ${known.phase.why}`);
    if (known.phase.name === 'running' && known.bootId !== undefined && live === 'running') {
      await context.index.change(id, { generation, view: input.view });
      return { bootId: known.bootId };
    }
    const template = await requireTemplate(context, known.templateKey);
    if (known.phase.name === 'saving') {
      const bootId = await rollBackSave(
        context,
        known,
        template,
        new Error('a resume came before the pause had ended'),
      );
      await context.index.change(id, { generation, bootId, view: input.view });
      return { bootId };
    }
    const consumed = known.phase.name === 'restoring' && known.phase.consumed;
    const manifest = consumed
      ? await goOn(context, known, generation, live)
      : await restore(context, known, template, input, held);
    await span('run', () => context.driver.run(domainName(id)));
    try {
      const bootId = await wakeGuest(context, manifest, held);
      await context.index.dropImage(id, { phase: { name: 'running' }, bootId, view: input.view });
      await rm(context.index.paths.sandbox(id).image(input.image.generation), { force: true });
      context.traffic.forget(id);
      context.traffic.openGate(id);
      return { bootId };
    } catch (error) {
      held.throwIfAborted();
      await saveAgain(context, manifest, template, held);
      throw asFailure(
        error,
        'ResumeFailed',
        `the agent of sandbox ${id} did not answer; it was saved again`,
        await factsOf(context, id),
      );
    }
  });
}

async function goOn(context: HostContext, manifest: Manifest, generation: number, live: string): Promise<Manifest> {
  if (live !== 'absent') return context.index.change(manifest.id, { generation });
  const why = 'its machine ended after its image had been used';
  await context.index.change(manifest.id, { phase: { name: 'lost', why } });
  throw failure('Lost', `sandbox ${manifest.id} is lost: ${why}. What is left of it is kept for the operator.`);
}

async function restore(
  context: HostContext,
  known: Manifest,
  template: Template,
  input: ResumeVmInput,
  signal: AbortSignal,
): Promise<Manifest> {
  const { id } = input.spec;
  if (known.image?.kind === 'disk') {
    const message = `the memory of sandbox ${id} was given up for a boot from its disk; connect again to boot it`;
    throw failure('ImageDamaged', message, { facts: await factsOf(context, id) });
  }
  if (known.image === undefined || known.image.generation !== input.image.generation) {
    throw failure('ImageDamaged', `sandbox ${id}: the host has no image of generation ${input.image.generation}`);
  }
  const paths = context.index.paths.sandbox(id);
  try {
    await context.driver.destroy(domainName(id));
    await clearWorkspace(context, known);
    const missing = missingRoom(await measureRoom(context.index, context.reserved), template.memoryMiB);
    if (missing !== undefined) throw failure('InsufficientCapacity', missing);
    const manifest = await context.index.change(id, {
      generation: input.generation,
      phase: { name: 'restoring', consumed: false },
      slot: await claimSlot(context, id),
    });
    const spec = machineSpec(context, manifest, template);
    const dataKey = await dataKeyOf(context, id);
    try {
      await prepareWorkspace(context, manifest, dataKey);
      await span('open image', () =>
        openImage({
          path: paths.image(input.image.generation),
          imageKey: imageKey(dataKey),
          sandboxId: id,
          generation: input.image.generation,
          templateKey: template.key,
          digest: input.image.digest,
          deviceStatePath: paths.deviceState,
          memoryPath: paths.memoryFile,
          baseMemoryPath: template.memory,
          baseExtents: template.memoryExtents,
          owner: { uid: spec.uid, gid: spec.gid },
          signal,
        }),
      );
    } finally {
      dataKey.fill(0);
    }
    signal.throwIfAborted();
    await span('restore', () => context.driver.restore(spec, paths.deviceState));
    await rm(paths.deviceState);
    signal.throwIfAborted();
    // Durable, naming this attempt by its generation, before any virtual CPU runs: no image is ever used twice.
    return await context.index.change(id, { phase: { name: 'restoring', consumed: true } });
  } catch (error) {
    signal.throwIfAborted();
    await context.driver.destroy(domainName(id));
    const failed = context.index.get(id);
    if (failed !== undefined) await clearWorkspace(context, failed);
    await context.index.change(id, { phase: { name: 'saved' }, slot: null });
    throw asFailure(
      error,
      'ResumeFailed',
      `sandbox ${id} could not be resumed and stays paused`,
      await factsOf(context, id),
    );
  }
}
