import { chmod, chown, copyFile, mkdir, open, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { health } from '../guest/client.js';
import { waitForAgent } from '../guest/wait-for-agent.js';
import { domainXml } from '../libvirt/domain-xml.js';
import { slotAddress, slotUid } from '../host/slots.js';
import type { Template } from '../template/template.js';

const NAME = 'bench-floor';
const BOOT_TIMEOUT_MS = 240_000;

/**
 * The floor: an equal guest as anyone would run it on libvirt. Anonymous memory, no encryption; saved by `virsh save`
 * onto the state directory's own filesystem and synced, restored by `virsh restore` until its agent answers.
 */
export class FloorGuest {
  readonly #directory: string;
  readonly #image: string;
  readonly #address: { host: string; port: number };

  constructor(
    private readonly options: { template: Template; stateDir: string; uidBase: number; slot: number; gid: number },
  ) {
    this.#directory = path.join(options.stateDir, 'bench');
    this.#image = path.join(this.#directory, 'plain.save');
    this.#address = { host: slotAddress(options.slot), port: 49_983 };
  }

  async start(): Promise<void> {
    const { template, uidBase, slot, gid } = this.options;
    const disk = path.join(this.#directory, 'plain.qcow2');
    await mkdir(this.#directory, { recursive: true, mode: 0o711 });
    await copyFile(template.disk, disk);
    const uid = slotUid(uidBase, slot);
    await chown(disk, uid, gid);
    await chmod(disk, 0o600);
    const xml = domainXml({
      ...template,
      ...{ name: NAME, uuid: 'b0000000-0000-4000-8000-000000000001', sandboxId: NAME, generation: 0, uid, gid },
      ...{ disk: { path: disk }, memoryFile: '/nonexistent', qmpSocket: '/nonexistent' },
      network: { macAddress: template.macAddress, address: this.#address.host, agentPort: this.#address.port },
    });
    const file = path.join(this.#directory, 'plain.xml');
    await writeFile(file, withoutMemoryFile(xml));
    await execa('virsh', ['create', file]);
    await waitForAgent(this.#address, () => Promise.resolve(), AbortSignal.timeout(BOOT_TIMEOUT_MS));
  }

  /** @returns seconds of `virsh save` and fsync. */
  async save(): Promise<number> {
    const start = performance.now();
    await execa('virsh', ['save', NAME, this.#image]);
    const file = await open(this.#image, 'r+');
    await file.sync();
    await file.close();
    return (performance.now() - start) / 1000;
  }

  /** @returns seconds of `virsh restore` until the agent answers. */
  async restore(): Promise<number> {
    const start = performance.now();
    await execa('virsh', ['restore', this.#image]);
    while (!(await health(this.#address, AbortSignal.timeout(5_000)).catch(() => false)));
    const seconds = (performance.now() - start) / 1000;
    await rm(this.#image);
    return seconds;
  }

  async remove(): Promise<void> {
    await execa('virsh', ['destroy', NAME], { reject: false });
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** The same machine with libvirt's own memory and without our monitor. */
export function withoutMemoryFile(xml: string): string {
  const ours = ['-object', 'memory-backend-file,[^"]*', '-machine', 'memory-backend=dm.ram', '-qmp', 'unix:[^"]*'];
  return ours.reduce((text, value) => text.replace(new RegExp(`<qemu:arg value="${value}"/>`), ''), xml);
}
