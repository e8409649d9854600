import { rm } from 'node:fs/promises';
import path from 'node:path';
import { syncToDisk } from '../src/sync-to-disk.js';
import type { HostContext } from './host-context.js';
import { domainName } from './machine.js';
import { clearWorkspace } from './workspace.js';

/** libvirt writes one for each machine, some with numbers behind when they grow, and removes none. */
const MACHINE_LOGS = '/var/log/libvirt/qemu';

async function removeMachineLogs({ machineLogs = MACHINE_LOGS }: HostContext, domain: string): Promise<void> {
  for (const name of ['', '.0', '.1', '.2']) await rm(path.join(machineLogs, `${domain}.log${name}`), { force: true });
}

/** All of a sandbox, under its lock: machine, wrapped key, libvirt secret, files, in this order. Repeating is fine. */
export async function removeSandbox(context: HostContext, id: string, generation: number): Promise<void> {
  const paths = context.index.paths.sandbox(id);
  const { slot, allowInternetAccess } = context.index.get(id) ?? { slot: null, allowInternetAccess: false };
  context.traffic.announceStop(id);
  await context.driver.destroy(domainName(id));
  context.reached('destroy.machine-gone');
  context.traffic.cutStreams(id);
  await rm(paths.wrappedKey, { force: true });
  await syncToDisk(paths.directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  context.reached('destroy.key-removed');
  await clearWorkspace(context, { id, slot, allowInternetAccess });
  context.reached('destroy.workspace-cleared');
  await removeMachineLogs(context, domainName(id));
  await rm(paths.directory, { recursive: true, force: true });
  context.reached('destroy.files-removed');
  context.index.forget(id, generation);
  context.traffic.forget(id);
}
