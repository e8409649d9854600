import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { once } from 'node:events';
import { writeFile, open } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { DomainSpec } from '../../libvirt/domain-spec.js';
import type { ComingImage, MachineState, VmDriver } from '../../libvirt/driver.js';
import { DomainError } from '../../libvirt/errors.js';
import { fakeAgent } from './fake-agent.js';

/** What `isCompleteSave` looks for. */
export const DEVICE_STATE = Buffer.from('LibvirtQemudSave of a machine that is not there'.padEnd(4096, '.'));

const BOOT_ID_LENGTH = 36;

interface Machine {
  spec: DomainSpec;
  state: 'running' | 'paused';
  bootId: string;
  agent: Server | undefined;
}

/**
 * Machines without a hypervisor, under the real activities. Each has the real files of one, an agent that answers
 * `init` on its real address while it runs, and a boot id that lives in its memory file alone: what wakes with another
 * one was not restored but started anew. Like libvirt, it refuses a second machine of one name.
 */
export class FakeMachines implements VmDriver {
  readonly #machines = new Map<string, Machine>();
  /** Save, restore and shutdown wait for this before anything happens. */
  hold: Promise<void> | undefined;
  /** So many wait for it. */
  waiting = 0;
  /** How many were restored so far. */
  restores = 0;
  /** So many next restores or saves fail. */
  failures = 0;

  /** @param takesUpToMs random time that save and restore take */
  constructor(private readonly takesUpToMs = 0) {}

  /** Agents of machines that boot while this is set never answer. */
  deaf = false;
  /** How many were booted so far. */
  boots = 0;

  async start(spec: DomainSpec): Promise<void> {
    if (this.#machines.has(spec.name)) throw new DomainError(`operation failed: domain '${spec.name}' already exists`);
    this.#machines.set(spec.name, { spec, state: 'paused', bootId: randomUUID(), agent: undefined });
    this.boots += 1;
    if (this.deaf) this.#existing(spec.name).state = 'running';
    else await this.run(spec.name);
  }

  async restore(spec: DomainSpec, image: ComingImage): Promise<void> {
    const [whole] = await Promise.all([image.whole, this.#dawdle()]);
    if (!whole.equals(DEVICE_STATE)) throw new DomainError(`${spec.name}: that is not device state`);
    if (this.#machines.has(spec.name)) throw new DomainError(`operation failed: domain '${spec.name}' already exists`);
    const memory = await open(spec.memoryFile, 'r+');
    try {
      const kept = (await memory.read(Buffer.alloc(BOOT_ID_LENGTH), 0, BOOT_ID_LENGTH, 0)).buffer.toString('latin1');
      const bootId = kept.startsWith('\0') ? randomUUID() : kept;
      await memory.write(bootId, 0, 'latin1');
      this.restores += 1;
      this.#machines.set(spec.name, { spec, state: 'paused', bootId, agent: undefined });
    } finally {
      await memory.close();
    }
  }

  async run(name: string): Promise<void> {
    const machine = this.#existing(name);
    if (machine.state === 'running') return;
    machine.state = 'running';
    const { address, agentPort } = machine.spec.network;
    const agent = fakeAgent(machine.bootId);
    machine.agent = agent.listen(agentPort, address);
    await once(agent, 'listening');
  }

  suspend(name: string): Promise<void> {
    this.#stop(this.#existing(name));
    return Promise.resolve();
  }

  setShare(): Promise<string[]> {
    return Promise.resolve([]);
  }

  /** Its guest obeys at once, or when `hold` lets it. */
  async shutdown(name: string): Promise<void> {
    await this.hold;
    await this.destroy(name);
  }

  reset(): Promise<void> {
    return Promise.reject(new DomainError('a machine without a hypervisor cannot be reset'));
  }

  cpuSeconds(): Promise<number> {
    return Promise.resolve(0);
  }

  diskUses(): ReturnType<VmDriver['diskUses']> {
    return Promise.resolve(new Map());
  }

  /** Of a machine that lives; undefined when there is none. */
  bootIdOf(name: string): string | undefined {
    return this.#machines.get(name)?.bootId;
  }

  async save(spec: Pick<DomainSpec, 'name'>, image: string): Promise<void> {
    const machine = this.#existing(spec.name);
    await this.#dawdle();
    this.#stop(machine);
    if (this.#machines.get(spec.name) !== machine) throw new DomainError('domain is not running');
    await writeFile(image, DEVICE_STATE);
    this.#machines.delete(spec.name);
  }

  awaitSave(): Promise<void> {
    return Promise.resolve();
  }

  destroy(name: string): Promise<void> {
    const machine = this.#machines.get(name);
    if (machine !== undefined) this.#stop(machine);
    this.#machines.delete(name);
    return Promise.resolve();
  }

  state(name: string): Promise<MachineState> {
    return Promise.resolve(this.#machines.get(name)?.state ?? 'absent');
  }

  list(prefix: string): Promise<string[]> {
    return Promise.resolve([...this.#machines.keys()].filter((name) => name.startsWith(prefix)));
  }

  async listStanding(prefix: string): Promise<string[]> {
    return (await this.list(prefix)).filter((name) => this.#machines.get(name)?.state === 'paused');
  }

  async close(): Promise<void> {
    for (const name of this.#machines.keys()) await this.destroy(name);
  }

  #existing(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new DomainError(`there is no machine ${name}`);
    return machine;
  }

  #stop(machine: Machine): void {
    machine.state = 'paused';
    machine.agent?.close();
    machine.agent?.closeAllConnections();
    machine.agent = undefined;
  }

  async #dawdle(): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new DomainError('failed as it was asked to');
    }
    if (this.hold !== undefined) {
      this.waiting += 1;
      await this.hold.finally(() => (this.waiting -= 1));
    }
    if (this.takesUpToMs > 0) await delay(Math.random() * this.takesUpToMs);
  }
}
