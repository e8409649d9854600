import { mkdir, rm } from 'node:fs/promises';
import type { CreateVmInput, VmRunning } from '../workflows/host-activities.js';
import { wholeView } from '../workflows/view.js';
import { writeDurably } from '../src/durable-file.js';
import type { Manifest } from '../src/host/manifest.js';
import { wrapSandboxKey } from '../src/keys/sandbox-key.js';
import { span } from '../src/tracing/span.js';
import type { Template } from '../src/template/template.js';
import { allOf } from './all-of.js';
import { asFailure, failure } from './failure.js';
import { fenced } from './fence.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { reserve } from './reserve.js';
import { restoreMachine } from './restore-machine.js';
import { wakeGuest } from './wake-guest.js';
import { claimSlot, clearWorkspace, prepareDisk, prepareNetwork } from './workspace.js';

/**
 * Create is a resume of the template: a copy of its memory, its device state with another header, a new overlay.
 *
 * Second run: a machine of this generation that runs is the answer; anything half-made is cleared away and made anew,
 * since nobody has been told of it.
 */
export async function createVm(context: HostContext, input: CreateVmInput, signal: AbortSignal): Promise<VmRunning> {
  const { spec, generation } = input;
  return fenced(context, spec.id, generation, signal, async (held) => {
    const known = context.index.get(spec.id);
    if (context.index.isUnreadable(spec.id))
      throw failure('CreateFailed', `the manifest of sandbox ${spec.id} cannot be read or is not authentic`);
    if (known?.phase.name === 'running' && known.bootId !== undefined) {
      if ((await context.driver.state(domainName(spec.id))) === 'running') return { bootId: known.bootId };
    }
    const template = await context.template(spec.templateKey);
    if (template === undefined)
      throw failure('TemplateNotFound', `this host does not have template ${spec.templateKey}`);
    context.reached('create.begun');
    if (known !== undefined) await clearAway(context, known);
    context.memories.keep(template);
    const manifest = await span('admit', () => admit(context, input, template));
    try {
      const bootId = await start(context, manifest, template, held);
      await context.index.change(spec.id, { phase: { name: 'running' }, bootId, view: wholeView(spec, input.view) });
      context.reached('create.settled');
      return { bootId };
    } catch (error) {
      await clearAway(context, manifest);
      throw asFailure(error, 'CreateFailed', `sandbox ${spec.id} could not be created`);
    }
  });
}

const admit = (context: HostContext, input: CreateVmInput, template: Template): Promise<Manifest> => {
  const record = (): Promise<Manifest> =>
    claimSlot(context, input.spec.id, async (slot) => {
      context.reached('create.slot-claimed');
      const manifest: Manifest = {
        schema: 1,
        id: input.spec.id,
        generation: input.generation,
        phase: { name: 'creating' },
        templateKey: template.key,
        slot,
        memoryMiB: template.memoryMiB,
        allowInternetAccess: input.spec.allowInternetAccess,
        agentNonce: input.spec.tokenNonce,
        view: { ...wholeView(input.spec, input.view), status: 'creating' },
      };
      await mkdir(context.index.paths.sandbox(manifest.id).directory, { recursive: true, mode: 0o711 });
      await context.index.put(manifest);
      context.reached('create.recorded');
      return manifest;
    });
  return reserve(context, input.spec.id, template, record, input.spec.warm);
};

async function start(
  context: HostContext,
  manifest: Manifest,
  template: Template,
  signal: AbortSignal,
): Promise<string> {
  await restoreMachine(
    context,
    manifest,
    template,
    {
      disk: () => prepareOverlay(context, manifest, template).then(() => context.reached('create.disk-ready')),
      network: () => prepareNetwork(context, manifest).then(() => context.reached('create.network-ready')),
      fill: async (deviceState) => {
        context.reached('create.memory-made');
        return deviceState;
      },
    },
    signal,
  );
  context.reached('create.restored');
  signal.throwIfAborted();
  await span('run', () => context.driver.run(domainName(manifest.id)));
  context.reached('create.ran');
  const bootId = await wakeGuest(context, manifest, signal);
  context.reached('create.agent-ready');
  context.traffic.openGate(manifest.id);
  return bootId;
}

async function prepareOverlay(context: HostContext, manifest: Manifest, template: Template): Promise<void> {
  const paths = context.index.paths.sandbox(manifest.id);
  const dataKey = await span('overlay', () => context.pool.claim(template.key, template.disk, paths.overlay));
  try {
    context.reached('create.overlay-claimed');
    await allOf(
      wrapSandboxKey(context.masterKey.wrapper, manifest.id, dataKey).then((wrapped) =>
        writeDurably(paths.wrappedKey, wrapped).then(() => context.reached('create.key-written')),
      ),
      prepareDisk(context, manifest, dataKey),
    );
  } finally {
    dataKey.fill(0);
  }
}

async function clearAway(context: HostContext, manifest: Manifest): Promise<void> {
  context.reached('create.clearing');
  await context.driver.destroy(domainName(manifest.id));
  context.reached('create.machine-cleared');
  await clearWorkspace(context, manifest);
  context.reached('create.workspace-cleared');
  await rm(context.index.paths.sandbox(manifest.id).directory, { recursive: true, force: true });
  context.reached('create.files-cleared');
  context.index.forget(manifest.id, manifest.generation);
}
