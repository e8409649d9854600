import { writeFile } from 'node:fs/promises';
import type { DomainSpec } from '../../src/libvirt/domain-spec.js';
import type { ComingImage, MachineState, VmDriver } from '../../src/libvirt/driver.js';

/** Machines that are names in a map. What they do when told something is the test's to say. */
export class FakeDriver implements VmDriver {
  readonly machines = new Map<string, MachineState>();
  readonly calls: string[] = [];
  /** Called at the verb, before anything happens; throws where a test wants it to. */
  readonly before: Partial<Record<string, () => void>> = {};
  /** What the guest does when its power button is pressed. */
  onPowerButton: (name: string) => void = (name) => void this.machines.delete(name);
  /** What becomes of a machine that was started. */
  onStart: (name: string) => void = () => undefined;

  start(spec: DomainSpec): Promise<void> {
    this.#called('start', spec.name);
    this.machines.set(spec.name, 'running');
    this.onStart(spec.name);
    return Promise.resolve();
  }

  async restore(spec: DomainSpec, image: ComingImage): Promise<void> {
    this.#called('restore', spec.name);
    await image.whole;
    this.machines.set(spec.name, 'paused');
  }

  run(name: string): Promise<void> {
    this.#called('run', name);
    this.machines.set(name, 'running');
    return Promise.resolve();
  }

  suspend(name: string): Promise<void> {
    this.#called('suspend', name);
    this.machines.set(name, 'paused');
    return Promise.resolve();
  }

  setShare(): Promise<string[]> {
    return Promise.resolve([]);
  }

  cpuSeconds(): Promise<number> {
    return Promise.resolve(0);
  }

  diskUses(): ReturnType<VmDriver['diskUses']> {
    return Promise.resolve(new Map());
  }

  async save(spec: Pick<DomainSpec, 'name' | 'qmpSocket'>, image: string): Promise<void> {
    this.#called('save', spec.name);
    await writeFile(image, 'device state');
    this.machines.delete(spec.name);
  }

  awaitSave(): Promise<void> {
    this.before['awaitSave']?.();
    return Promise.resolve();
  }

  shutdown(name: string): Promise<void> {
    this.#called('shutdown', name);
    if (this.machines.has(name)) this.onPowerButton(name);
    return Promise.resolve();
  }

  reset(name: string): Promise<void> {
    this.#called('reset', name);
    return Promise.resolve();
  }

  destroy(name: string): Promise<void> {
    if (this.machines.delete(name)) this.#called('destroy', name);
    return Promise.resolve();
  }

  state(name: string): Promise<MachineState> {
    this.before['state']?.();
    return Promise.resolve(this.machines.get(name) ?? 'absent');
  }

  list(prefix: string): Promise<string[]> {
    return Promise.resolve([...this.machines.keys()].filter((name) => name.startsWith(prefix)));
  }

  async listStanding(prefix: string): Promise<string[]> {
    return (await this.list(prefix)).filter((name) => this.machines.get(name) === 'paused');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #called(verb: string, name: string): void {
    this.calls.push(`${verb} ${name}`);
    this.before[verb]?.();
  }
}
