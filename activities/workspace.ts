import { chown, mkdir, rm, stat } from 'node:fs/promises';
import type { Manifest } from '../src/host/manifest.js';
import type { SandboxIndex } from '../src/host/sandbox-index.js';
import type { SandboxPaths } from '../src/host/state-paths.js';
import { slotUid } from '../src/host/slots.js';
import { diskPassphrase } from '../src/keys/sandbox-key.js';
import { removePipe } from '../src/libvirt/restore-pipe.js';
import { removeSecret, setSecret } from '../src/libvirt/secrets.js';
import { span } from '../src/tracing/span.js';
import { allOf } from './all-of.js';
import { failure } from './failure.js';
import type { HostContext } from './host-context.js';
import { derivedUuid, slotOf } from './machine.js';

/** What a machine needs around it while it lives: tmpfs directories, the disk's libvirt secret, its network rule. */
export async function prepareWorkspace(context: HostContext, manifest: Manifest, dataKey: Buffer): Promise<void> {
  await prepareMemory(context, manifest);
  await allOf(prepareNetwork(context, manifest), prepareDisk(context, manifest, dataKey));
}

export const prepareNetwork = (context: HostContext, manifest: Manifest): Promise<void> =>
  span('guard', () =>
    context.guard.setInternet(slotUid(context.uidBase, slotOf(manifest)), manifest.allowInternetAccess),
  );

/** The disk is the machine's unix user's, and libvirt knows its passphrase. */
export async function prepareDisk(context: HostContext, manifest: Manifest, dataKey: Buffer): Promise<void> {
  const { overlay } = context.index.paths.sandbox(manifest.id);
  await chown(overlay, slotUid(context.uidBase, slotOf(manifest)), context.gid);
  await span('secret', () =>
    setSecret(
      context.libvirtUri,
      derivedUuid(manifest.id, 'secret'),
      `disk of sandbox ${manifest.id} in ${context.index.paths.root}`,
      diskPassphrase(dataKey),
    ),
  );
}

/** The tmpfs directories. */
export async function prepareMemory(context: HostContext, manifest: Manifest): Promise<void> {
  const paths = context.index.paths.sandbox(manifest.id);
  await mkdir(paths.deviceStateDirectory, { recursive: true, mode: 0o700 });
  await mkdir(paths.memoryDirectory, { recursive: true, mode: 0o700 });
  await chown(paths.memoryDirectory, slotUid(context.uidBase, slotOf(manifest)), context.gid);
}

type Claimed = Pick<Manifest, 'id' | 'slot' | 'allowInternetAccess'>;

/**
 * Gives all of it back; the machine must be gone. Repeating is fine.
 *
 * The slots are those that the sandbox has claimed, not the one in its manifest: after a crash that one may be given back
 * already, and taken by another sandbox.
 */
export async function clearWorkspace(context: HostContext, manifest: Claimed): Promise<void> {
  await allOf(
    removeSecret(context.libvirtUri, derivedUuid(manifest.id, 'secret')),
    clearWorkspaceButSecret(context, manifest),
  );
}

/** As {@link clearWorkspace}, where the secret is about to be set anew. */
export async function clearWorkspaceButSecret(
  context: HostContext,
  { id, slot: named, allowInternetAccess }: Claimed,
): Promise<void> {
  const paths = context.index.paths.sandbox(id);
  await allOf(context.discarded.discard(paths.memoryDirectory), removeDeviceState(paths), takeBackDisk(paths));
  for (const slot of await context.slots.of(id, named)) {
    if (!allowInternetAccess) await context.guard.forget(slotUid(context.uidBase, slot));
    await context.slots.release(slot);
  }
}

/** Before somebody else becomes the unix user that it belonged to. */
async function takeBackDisk({ overlay }: SandboxPaths): Promise<void> {
  const found = await stat(overlay).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined && (found.uid !== 0 || found.gid !== 0)) await chown(overlay, 0, 0);
}

/** Of all that sleep: a loss of power may have undone it, and an earlier version did not do it. Before any slot is claimed. */
export async function takeBackDisks(index: SandboxIndex): Promise<void> {
  for (const { id, phase, slot } of index.all())
    if (phase.name === 'saved' && slot === null) await takeBackDisk(index.paths.sandbox(id));
}

async function removeDeviceState({ restorePipe, deviceStateDirectory }: SandboxPaths): Promise<void> {
  removePipe(restorePipe);
  await rm(deviceStateDirectory, { recursive: true, force: true });
}

/**
 * Claims a slot, and has it recorded: a claim that no manifest names would not be given back before the next start.
 * @throws InsufficientCapacity when every slot of this machine is taken; what `record` throws.
 */
export async function claimSlot<T>(context: HostContext, id: string, record: (slot: number) => Promise<T>): Promise<T> {
  const slot = await context.slots.claim(id);
  if (slot === undefined) {
    throw failure(
      'InsufficientCapacity',
      'every unix user for guests of this host is taken (DORMOUSE_UID_COUNT). Pause or kill another sandbox.',
    );
  }
  try {
    return await record(slot);
  } catch (error) {
    await context.slots.release(slot);
    throw error;
  }
}
