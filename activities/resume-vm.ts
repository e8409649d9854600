import type { ResumeVmInput, VmRunning } from '../workflows/host-activities.js';
import { wholeView, type MemoryImage } from '../workflows/view.js';
import type { Manifest } from '../src/host/manifest.js';
import { imageKey } from '../src/keys/sandbox-key.js';
import { openImage } from '../src/sealing/open-image.js';
import type { MachineState } from '../src/libvirt/driver.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { giveBack } from './give-back.js';
import { factsOf } from './inspect-vm.js';
import { knownManifest } from './known-manifest.js';
import { dataKeyOf, domainName, requireTemplate } from './machine.js';
import { removeImages } from './remove-images.js';
import { reserve } from './reserve.js';
import { restoreMachine } from './restore-machine.js';
import { standAgain } from './roll-back-save.js';
import { saveAgain } from './save-again.js';
import { subjectOf } from './step-subject.js';
import { wakeGuest, type WokenAfter } from './wake-guest.js';
import { claimSlot, clearWorkspace, clearWorkspaceButSecret, prepareDisk, prepareNetwork } from './workspace.js';

/**
 * Resume: image authenticated, machine restored standing, image marked consumed, machine let run, agent initialised.
 * Before `run` failure changes nothing; from `run` on the old image is dead.
 *
 * Second run: a consumed mark of this generation with a live machine goes on from `run`; without one, the sandbox is
 * lost, unless a second save had begun: then memory and device state in tmpfs are the truth, as after a pause. Without a
 * mark, everything but the image is cleared away and made anew. A machine that runs is never touched.
 */
export async function resumeVm(context: HostContext, input: ResumeVmInput, signal: AbortSignal): Promise<VmRunning> {
  const { id, tenant } = subjectOf(input);
  const { generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = knownManifest(context, { id, tenant }, 'ImageDamaged');
    if (known.generation < input.image.generation) {
      throw failure(
        'ImageDamaged',
        `sandbox ${id}: the manifest on this host is older than its image; it was put back`,
      );
    }
    const view = wholeView(known.view.spec, input.view);
    const live = await context.driver.state(domainName(id));
    if (known.phase.name === 'lost') throw failure('Lost', `sandbox ${id} is lost: ${known.phase.why}`);
    if (known.phase.name === 'running' && known.bootId !== undefined && live === 'running') {
      await removeImages(context, await context.index.change(id, { generation, view }));
      return { bootId: known.bootId };
    }
    const template = await requireTemplate(context, known.templateKey);
    if (known.phase.name === 'saved' && known.image?.generation === generation) {
      await giveBack(context, known);
      throw await savedAgain(context, id);
    }
    context.reached('resume.begun');
    const { manifest, after } = await stand(context, known, template, live, input, held);
    held.throwIfAborted();
    await span('run', () => context.driver.run(domainName(id)));
    try {
      context.reached('resume.ran');
      const bootId = await wakeGuest(context, manifest, held, after);
      context.reached('resume.agent-ready');
      const settled = await context.index.dropImage(id, { phase: { name: 'running' }, bootId, view });
      context.reached('resume.settled');
      // The files of the image that was used stay, for the next pause to build on; nothing can be restored from them.
      await removeImages(context, settled);
      context.reached('resume.image-removed');
      context.traffic.forget(id);
      context.traffic.openGate(id);
      return { bootId };
    } catch (error) {
      held.throwIfAborted();
      await saveAgain(context, manifest, template, held);
      throw await savedAgain(context, id, error);
    }
  });
}

async function savedAgain(context: HostContext, id: string, cause?: unknown): Promise<Error> {
  const what = `the agent of sandbox ${id} did not answer; it was saved again`;
  return failure('ResumeFailed', what, { cause, facts: await factsOf(context, id) });
}

/** From whatever an earlier attempt left: a machine that stands (or runs already), on an image that is marked as used. */
async function stand(
  context: HostContext,
  known: Manifest,
  template: Template,
  live: MachineState,
  input: ResumeVmInput,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; after: WokenAfter }> {
  const { generation } = input;
  if (known.phase.name === 'saving') {
    // A pause that never ended, or this resume's own second save: memory and device state in tmpfs are newest.
    const manifest = await context.index.change(known.id, { generation });
    const cause = new Error('a resume came before the pause had ended');
    return { manifest, after: await standAgain(context, manifest, template, cause, signal) };
  }
  const consumed = known.phase.name === 'restoring' && known.phase.consumed;
  if (consumed || known.phase.name === 'running') {
    const manifest = await goOn(context, known, generation, live);
    return { manifest, after: live === 'running' ? 'adoption' : 'restore' };
  }
  return { manifest: await restore(context, known, template, input, signal), after: 'restore' };
}

async function goOn(
  context: HostContext,
  manifest: Manifest,
  generation: number,
  live: MachineState,
): Promise<Manifest> {
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
  const { id } = known;
  if (known.image !== undefined && known.image.generation > input.image.generation) {
    // An earlier resume saved it again, and its answer never arrived: the workflow takes the newer image from the facts.
    throw await savedAgain(context, id);
  }
  if (known.image?.kind === 'disk') {
    const message = `the memory of sandbox ${id} was given up for a boot from its disk; connect again to boot it`;
    throw failure('ResumeFailed', message, { facts: await factsOf(context, id) });
  }
  if (known.image === undefined || known.image.generation !== input.image.generation) {
    throw failure('ImageDamaged', `sandbox ${id}: the host has no image of generation ${input.image.generation}`);
  }
  try {
    await context.driver.destroy(domainName(id));
    await clearWorkspaceButSecret(context, known);
    context.reached('resume.cleared');
    const manifest = await reserve(context, id, template, () =>
      claimSlot(context, id, (slot) => {
        context.reached('resume.slot-claimed');
        return context.index.change(id, {
          ...{ generation: input.generation, slot, phase: { name: 'restoring', consumed: false } },
        });
      }),
    );
    context.reached('resume.marked');
    const dataKey = await dataKeyOf(context, id);
    try {
      await restoreMachine(
        context,
        manifest,
        template,
        {
          disk: () => prepareDisk(context, manifest, dataKey).then(() => context.reached('resume.disk-ready')),
          network: () => prepareNetwork(context, manifest).then(() => context.reached('resume.network-ready')),
          fill: (_, over) => unseal(context, id, input.image, template, dataKey, over),
        },
        signal,
      );
    } finally {
      dataKey.fill(0);
    }
    context.reached('resume.restored');
    signal.throwIfAborted();
    // Durable, naming this attempt by its generation, before any virtual CPU runs: no image is ever used twice.
    const used = await context.index.change(id, { phase: { name: 'restoring', consumed: true } });
    context.reached('resume.consumed');
    return used;
  } catch (error) {
    signal.throwIfAborted();
    context.reached('resume.undoing');
    await context.driver.destroy(domainName(id));
    const failed = context.index.get(id);
    if (failed !== undefined) await clearWorkspace(context, failed);
    await context.index.change(id, { phase: { name: 'saved' }, slot: null });
    context.reached('resume.undone');
    throw asFailure(
      error,
      'ResumeFailed',
      `sandbox ${id} could not be resumed and stays paused`,
      await factsOf(context, id),
    );
  }
}

/** @returns the device state, once all of the image is found to be genuine. */
async function unseal(
  context: HostContext,
  id: string,
  image: MemoryImage,
  template: Template,
  dataKey: Buffer,
  signal: AbortSignal,
): Promise<Buffer> {
  const paths = context.index.paths.sandbox(id);
  const key = imageKey(dataKey);
  try {
    const deviceState = await span('open image', () =>
      openImage({
        ...{
          path: paths.image(image.generation),
          pathOf: paths.image,
          imageKey: key,
          memoryPath: paths.memoryFile,
          signal,
        },
        ...{ sandboxId: id, generation: image.generation, templateKey: template.key, digest: image.digest },
      }),
    );
    context.reached('resume.opened');
    return deviceState;
  } finally {
    key.fill(0);
  }
}
