import type { BootVmInput, VmRunning } from '../workflows/host-activities.js';
import { wholeView, type DiskImage } from '../workflows/view.js';
import { AGENT_PORT } from '../src/gateway/wire.js';
import { waitForAgent } from '../src/guest/wait-for-agent.js';
import type { Manifest } from '../src/host/manifest.js';
import { slotAddress } from '../src/host/slots.js';
import type { Template } from '../src/template/template.js';
import { span } from '../src/tracing/span.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import { giveBack } from './give-back.js';
import type { HostContext } from './host-context.js';
import { factsOf } from './inspect-vm.js';
import { knownManifest } from './known-manifest.js';
import { dataKeyOf, domainName, machineSpec, requireTemplate, slotOf } from './machine.js';
import { removeImages } from './remove-images.js';
import { reserve } from './reserve.js';
import { subjectOf } from './step-subject.js';
import { wakeGuest } from './wake-guest.js';
import { claimSlot, clearWorkspace, prepareWorkspace } from './workspace.js';

/** Twenty seconds under emulation on an idle machine, two minutes on a busy one. */
const BOOT_WITHIN_MS = 240_000;

/**
 * A cold boot from the sandbox's disk, with an empty memory. A memory that was kept is dead from the moment that the
 * machine may write to the disk; that is recorded before.
 *
 * Second run: a machine that runs is the answer; a boot that was begun is begun again.
 */
export async function bootVm(context: HostContext, input: BootVmInput, signal: AbortSignal): Promise<VmRunning> {
  const { id, tenant } = subjectOf(input);
  const { generation } = input;
  return fenced(context, id, generation, signal, async (held) => {
    const known = knownManifest(context, { id, tenant }, 'ImageDamaged');
    const view = wholeView(known.view.spec, input.view);
    if (known.phase.name === 'lost') throw failure('Lost', `sandbox ${id} is lost: ${known.phase.why}`);
    if (known.phase.name === 'running' && known.bootId !== undefined) {
      if ((await context.driver.state(domainName(id))) === 'running') {
        await context.index.change(id, { generation, view });
        return { bootId: known.bootId };
      }
    }
    const template = await requireTemplate(context, known.templateKey);
    context.reached('boot.begun');
    await context.driver.destroy(domainName(id));
    await clearWorkspace(context, known);
    context.reached('boot.cleared');
    const manifest = await begin(context, known, input, template);
    try {
      const bootId = await boot(context, manifest, template, held);
      await context.index.dropImage(id, { phase: { name: 'running' }, bootId, view });
      context.reached('boot.settled');
      context.traffic.forget(id);
      context.traffic.openGate(id);
      return { bootId };
    } catch (error) {
      held.throwIfAborted();
      const ended = (await context.driver.state(domainName(id))) === 'absent';
      await context.driver.destroy(domainName(id));
      const saved = await context.index.change(id, { phase: { name: 'saved' }, slot: null });
      await giveBack(context, { ...saved, slot: manifest.slot });
      const code = ended ? 'HostFailure' : 'ResumeFailed';
      const what = `sandbox ${id} could not be booted and stays paused`;
      throw asFailure(error, code, what, await factsOf(context, id));
    }
  });
}

/** Reserves what the machine needs and records that it starts from the disk: from here on no memory belongs to it. */
async function begin(
  context: HostContext,
  known: Manifest,
  { generation }: BootVmInput,
  template: Template,
): Promise<Manifest> {
  const manifest = await reserve(context, known.id, template, () =>
    claimSlot(context, known.id, (slot) => {
      context.reached('boot.slot-claimed');
      // Newer than a memory that is given up, so that the workflow takes the host's word for it.
      const image: DiskImage =
        known.image?.kind === 'disk' ? known.image : { kind: 'disk', generation, savedAt: Date.now() };
      const change = { generation, phase: { name: 'booting' as const }, slot, image, basis: null };
      return context.index.change(known.id, change);
    }),
  );
  context.reached('boot.marked');
  await removeImages(context, manifest);
  return manifest;
}

async function boot(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<string> {
  const spec = machineSpec(context, manifest, template);
  const dataKey = await dataKeyOf(context, manifest.id);
  try {
    await prepareWorkspace(context, manifest, dataKey);
  } finally {
    dataKey.fill(0);
  }
  context.reached('boot.workspace-ready');
  signal.throwIfAborted();
  await span('start', () => context.driver.start(spec));
  context.reached('boot.started');
  await span('boot', () =>
    waitForAgent(
      { host: slotAddress(slotOf(manifest)), port: AGENT_PORT },
      async () => {
        if ((await context.driver.state(spec.name)) === 'absent') throw new Error('its machine ended while it booted');
      },
      BOOT_WITHIN_MS,
      signal,
    ),
  );
  const bootId = await wakeGuest(context, manifest, signal, 'boot');
  context.reached('boot.agent-ready');
  return bootId;
}
