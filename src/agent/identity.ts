import { closeSync, lstatSync, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What carries a guest's identity, below its root. */
export const IDENTITY_FILES = {
  machineId: 'etc/machine-id',
  hosts: 'etc/hosts',
  hostname: 'etc/hostname',
  kernelHostname: 'proc/sys/kernel/hostname',
  dbusMachineId: 'var/lib/dbus/machine-id',
  randomSeed: 'var/lib/systemd/random-seed',
} as const;

/** What a guest takes for its identity, in files; all clones of a template have been given the same. */
export class Identity {
  /** @param root the guest's; another directory in tests */
  constructor(private readonly root = '/') {}

  /** The machine gets the id, and a name that follows from it. What it has already is left as it is, whatever else users changed. */
  adopt(machineId: string): void {
    if (this.#read(IDENTITY_FILES.machineId) === machineId) return;
    this.#renewSeed();
    const name = `sandbox-${machineId.slice(0, 12)}`;
    this.#setName(name);
    this.#setDbus(machineId);
    // Last: with it in place nothing of this is done again.
    this.#replace(IDENTITY_FILES.machineId, `${machineId}\n`, 0o444);
  }

  /** What systemd would feed to the kernel at the next boot; of the kernel's own, which was reseeded. */
  #renewSeed(): void {
    const seed = Buffer.alloc(512);
    const random = openSync('/dev/urandom', 'r');
    try {
      readSync(random, seed);
    } finally {
      closeSync(random);
    }
    if (this.#read(IDENTITY_FILES.randomSeed, 'latin1') !== undefined)
      this.#replace(IDENTITY_FILES.randomSeed, seed, 0o600);
  }

  /** In the list of hosts first, so that the name can be looked up as soon as it is there. */
  #setName(name: string): void {
    const hosts = this.#read(IDENTITY_FILES.hosts) ?? '127.0.0.1 localhost';
    const others = hosts.split('\n').filter((line) => !/^127\.0\.1\.1\s+sandbox-/.test(line));
    this.#replace(IDENTITY_FILES.hosts, `${others.join('\n')}\n127.0.1.1 ${name}\n`, 0o644);
    this.#replace(IDENTITY_FILES.hostname, `${name}\n`, 0o644);
    if (this.#read(IDENTITY_FILES.kernelHostname) !== undefined)
      writeFileSync(this.#file(IDENTITY_FILES.kernelHostname), `${name}\n`);
  }

  /** Mostly a link to the other. */
  #setDbus(machineId: string): void {
    const isFile = lstatSync(this.#file(IDENTITY_FILES.dbusMachineId), { throwIfNoEntry: false })?.isFile() === true;
    if (isFile) this.#replace(IDENTITY_FILES.dbusMachineId, `${machineId}\n`, 0o444);
  }

  #file = (name: string): string => path.join(this.root, name);

  #read(name: string, encoding: 'utf8' | 'latin1' = 'utf8'): string | undefined {
    // Written by whoever is root in the guest: no pipe is waited for.
    if (lstatSync(this.#file(name), { throwIfNoEntry: false })?.isFile() !== true) return undefined;
    return readFileSync(this.#file(name), encoding).trim();
  }

  #replace(name: string, content: string | Buffer, mode: number): void {
    const draft = this.#file(`${name}.dormouse`);
    // Whoever is root in the guest may have put a pipe there, which nobody reads.
    rmSync(draft, { force: true });
    writeFileSync(draft, content, { mode, flag: 'wx' });
    renameSync(draft, this.#file(name));
  }
}
