import { chmod, chown, copyFile, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import type { Config } from '../config.js';
import { health } from '../guest/client.js';
import { initGuest, TRY_EVERY_MS, TRY_TIMEOUT_MS } from '../guest/init-guest.js';
import { waitForAgent } from '../guest/wait-for-agent.js';
import { domainXml } from '../libvirt/domain-xml.js';
import { headFor, streamOf } from '../libvirt/save-image-header.js';
import { slotAddress, slotUid } from '../host/slots.js';
import { qemuIds } from '../setup/qemu-user.js';
import type { Template } from '../template/template.js';
import { within } from '../within.js';
import type { AgentDoor } from './run-command.js';

const BOOT_TIMEOUT_MS = 240_000;
const BOOT_ATTEMPTS = 3;
const INIT_TIMEOUT_MS = 60_000;
const ANSWERS_WITHIN_MS = 240_000;
const AGENT_PORT = 49_983;
const TOKEN = 'bench-floor';
const DOMAIN_PREFIX = 'bench-floor';
/** Slots below the template's, which no sandbox reaches. */
const SLOTS_FROM_THE_LAST = 2;

export interface FloorOptions {
  /** Of several guests that stand side by side. */
  number?: number;
}

type Place = Pick<Config, 'stateDir' | 'uidBase' | 'uidCount' | 'libvirtUri'>;

/**
 * The floor: an equal guest as anyone would run it on libvirt. Anonymous memory, no encryption; saved by `virsh save`
 * onto the state directory's own filesystem (or a tmpfs) and synced, restored by `virsh restore` until its agent answers.
 */
export class FloorGuest {
  readonly name: string;
  readonly #directory: string;
  readonly #slot: number;
  readonly #address: { host: string; port: number };

  constructor(
    private readonly place: Place,
    private readonly template: Template,
    { number = 0 }: FloorOptions = {},
  ) {
    this.name = `${DOMAIN_PREFIX}-${path.basename(place.stateDir)}-${number}`;
    this.#directory = path.join(floorsOf(place.stateDir), String(number));
    this.#slot = place.uidCount - SLOTS_FROM_THE_LAST - number;
    this.#address = { host: slotAddress(this.#slot), port: AGENT_PORT };
  }

  /** Boots it, which takes half a minute under emulation; its agent can then be told to run commands. */
  async start(): Promise<void> {
    const file = path.join(this.#directory, 'domain.xml');
    await writeFile(file, await this.#prepare(this.template.disk));
    await this.#boot(file);
    const body = { accessToken: TOKEN, envVars: {}, defaultUser: 'user', requireReseed: false };
    await initGuest(this.#address, body, within(INIT_TIMEOUT_MS));
  }

  /** QEMU asserts now and then when a guest with two emulated CPUs boots, and such guests hang (`src/template/build.ts`). */
  async #boot(file: string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.#virsh('create', file);
      try {
        return await waitForAgent(this.#address, () => this.#requireMachine(), BOOT_TIMEOUT_MS);
      } catch (error) {
        await this.#destroy();
        if (attempt === BOOT_ATTEMPTS) throw error;
      }
    }
  }

  async #requireMachine(): Promise<void> {
    await this.#virsh('domstate', this.name);
  }

  /** Becomes a second one of a guest that is saved to disk: saved, too, and restored as that one would be. */
  async startSaved(as: FloorGuest): Promise<void> {
    const xml = await this.#prepare(as.disk);
    const image = await readFile(as.#image('disk'));
    const name = this.#image('disk');
    await writeFile(name, Buffer.concat([headFor(image, xml, name), streamOf(image, name)]));
  }

  /** Its directory and disk. @returns its domain's XML. */
  async #prepare(diskFrom: string): Promise<string> {
    const { template, place } = this;
    await mkdir(this.#tmpfs, { recursive: true, mode: 0o711 });
    await execa('mount', ['-t', 'tmpfs', '-o', 'mode=711', 'bench', this.#tmpfs]);
    await copyFile(diskFrom, this.disk);
    const [uid, { gid }] = [slotUid(place.uidBase, this.#slot), await qemuIds()];
    await chown(this.disk, uid, gid);
    await chmod(this.disk, 0o600);
    const uuid = `b0000000-0000-4000-8000-${String(this.#slot).padStart(12, '0')}`;
    const xml = domainXml({
      ...template,
      ...{ name: this.name, uuid, sandboxId: this.name, generation: 0, uid, gid },
      ...{ disk: { path: this.disk }, memoryFile: '/nonexistent', qmpSocket: '/nonexistent' },
      network: { macAddress: template.macAddress, address: this.#address.host, agentPort: this.#address.port },
    });
    return asAnyoneWould(xml);
  }

  get door(): AgentDoor {
    return { url: `http://${this.#address.host}:${this.#address.port}`, headers: { 'x-access-token': TOKEN } };
  }

  /** @returns seconds of `virsh save` and fsync. */
  async save(onto: 'disk' | 'tmpfs' = 'disk'): Promise<number> {
    const start = performance.now();
    await this.#virsh('save', this.name, this.#image(onto));
    const file = await open(this.#image(onto), 'r+');
    await file.sync();
    await file.close();
    return secondsSince(start);
  }

  /** @returns seconds of `virsh restore` until the agent answers. */
  async restore(from: 'disk' | 'tmpfs' = 'disk'): Promise<number> {
    const start = performance.now();
    // A rewritten image says nothing of whether its machine ran.
    await this.#virsh('restore', '--running', this.#image(from));
    await this.answers();
    const seconds = secondsSince(start);
    await rm(this.#image(from));
    return seconds;
  }

  /** Resolves once its agent answers; asks as often as the service asks its own. */
  async answers(): Promise<void> {
    const signal = within(ANSWERS_WITHIN_MS);
    while (!(await health(this.#address, within(TRY_TIMEOUT_MS, signal)).catch(() => false))) {
      signal.throwIfAborted();
      await delay(TRY_EVERY_MS);
    }
  }

  async remove(): Promise<void> {
    await this.#destroy();
    await removeDirectory(this.#directory);
  }

  async #destroy(): Promise<void> {
    await execa('virsh', ['-c', this.place.libvirtUri, 'destroy', this.name], { reject: false });
  }

  get disk(): string {
    return path.join(this.#directory, 'disk.qcow2');
  }

  get #tmpfs(): string {
    return path.join(this.#directory, 'tmpfs');
  }

  #image(where: 'disk' | 'tmpfs'): string {
    return path.join(where === 'disk' ? this.#directory : this.#tmpfs, 'plain.save');
  }

  #virsh(...args: string[]): Promise<unknown> {
    return execa('virsh', ['-c', this.place.libvirtUri, ...args]);
  }
}

/** What a bench that was killed left of its floor guests on this state directory. */
export async function clearFloors({ stateDir, libvirtUri }: Pick<Config, 'stateDir' | 'libvirtUri'>): Promise<void> {
  const virsh = (...args: string[]) => execa('virsh', ['-c', libvirtUri, '-q', ...args], { reject: false });
  const { stdout } = await virsh('list', '--name', '--all');
  const ours = stdout.split('\n').filter((name) => name.startsWith(`${DOMAIN_PREFIX}-${path.basename(stateDir)}-`));
  for (const name of ours) await virsh('destroy', name);
  const floors = floorsOf(stateDir);
  for (const number of await readdir(floors).catch(() => [])) await removeDirectory(path.join(floors, number));
}

/** The same machine with libvirt's own memory, without our monitor, and with nothing hidden from libvirt. */
export function asAnyoneWould(xml: string): string {
  const ours = ['-object', 'memory-backend-file,[^"]*', '-machine', 'memory-backend=dm.ram', '-qmp', 'unix:[^"]*'];
  const elements = [
    ...ours.map((value) => `<qemu:arg value="${value}"/>`),
    '<qemu:capabilities>.*</qemu:capabilities>',
  ];
  return elements.reduce((text, element) => text.replace(new RegExp(element), ''), xml);
}

/** Beside what the service keeps, on the same filesystem. */
const floorsOf = (stateDir: string): string => path.join(stateDir, 'bench');
const secondsSince = (start: number): number => (performance.now() - start) / 1000;

async function removeDirectory(directory: string): Promise<void> {
  await execa('umount', [path.join(directory, 'tmpfs')], { reject: false });
  await rm(directory, { recursive: true, force: true });
}
