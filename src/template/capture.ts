import { chmod, chown, copyFile, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { DomainSpec } from '../libvirt/domain-spec.js';
import type { VmDriver } from '../libvirt/driver.js';
import { copySparse, findExtents } from '../sealing/sparse-copy.js';
import { waitForAgent } from '../guest/wait-for-agent.js';
import { settle } from './settle.js';

/** What of a machine's definition the template fixes; clones differ in the rest. */
export type TemplateMachine = Omit<
  DomainSpec,
  'name' | 'uuid' | 'sandboxId' | 'generation' | 'disk' | 'memoryFile' | 'qmpSocket'
>;

/** QEMU ended during the boot; its own log tells why. */
export class MachineDiedError extends Error {
  override readonly name = 'MachineDiedError';
  constructor(machine: string) {
    super(`the machine ${machine} ended while it booted; see /var/log/libvirt/qemu/${machine}.log`);
  }
}

/**
 * Boots `disk` once until its agent answers, then keeps device state and memory as the template's.
 * The disk is written to by the boot and belongs to that memory from then on.
 * @returns the non-zero extents of the memory file.
 */
export async function captureTemplate(
  driver: VmDriver,
  machine: TemplateMachine,
  files: { disk: string; memory: string; deviceState: string },
  options: { memoryRoot: string; name: string; uuid: string; timeoutMs: number },
): Promise<[number, number][]> {
  const directory = path.join(options.memoryRoot, options.name);
  const spec: DomainSpec = {
    ...machine,
    name: options.name,
    uuid: options.uuid,
    sandboxId: options.name,
    generation: 0,
    disk: { path: files.disk },
    memoryFile: path.join(directory, 'ram'),
    qmpSocket: path.join(directory, 'qmp'),
  };
  const deviceState = path.join(options.memoryRoot, `${options.name}.device`);
  try {
    await mkdir(directory, { mode: 0o700 });
    await chown(directory, machine.uid, machine.gid);
    await chown(files.disk, machine.uid, machine.gid);
    await driver.start(spec);
    await waitForAgent(
      { host: machine.network.address, port: machine.network.agentPort },
      async () => {
        if ((await driver.state(spec.name)) === 'absent') throw new MachineDiedError(spec.name);
      },
      options.timeoutMs,
    );
    await settle(driver, spec.name);
    await driver.save(spec, deviceState);
    const extents = await findExtents(spec.memoryFile);
    await copySparse(spec.memoryFile, files.memory, extents);
    await copyFile(deviceState, files.deviceState);
    await chown(files.disk, 0, 0);
    await chmod(files.disk, 0o444);
    return extents;
  } finally {
    await driver.destroy(options.name);
    await rm(directory, { recursive: true, force: true });
    await rm(deviceState, { force: true });
  }
}
