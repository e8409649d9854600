import { closeSync, lstatSync, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What a guest takes for its identity, in files; all clones of a template have been given the same. */
export class Identity {
  /** @param root the guest's; another directory in tests */
  constructor(private readonly root = '/') {}

  /** The machine gets the id, and a name that follows from it. What it has already is left as it is, whatever else users changed. */
  adopt(machineId: string): void {
    if (this.#read('etc/machine-id') === machineId) return;
    this.#renewSeed();
    const name = `sandbox-${machineId.slice(0, 12)}`;
    this.#setName(name);
    this.#setDbus(machineId);
    // Last: with it in place nothing of this is done again.
    this.#replace('etc/machine-id', `${machineId}\n`, 0o444);
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
    if (this.#read('var/lib/systemd/random-seed', 'latin1') !== undefined)
      this.#replace('var/lib/systemd/random-seed', seed, 0o600);
  }

  /** In the list of hosts first, so that the name can be looked up as soon as it is there. */
  #setName(name: string): void {
    const hosts = this.#read('etc/hosts') ?? '127.0.0.1 localhost';
    const others = hosts.split('\n').filter((line) => !/^127\.0\.1\.1\s+sandbox-/.test(line));
    this.#replace('etc/hosts', `${others.join('\n')}\n127.0.1.1 ${name}\n`, 0o644);
    this.#replace('etc/hostname', `${name}\n`, 0o644);
    if (this.#read('proc/sys/kernel/hostname') !== undefined)
      writeFileSync(this.#file('proc/sys/kernel/hostname'), `${name}\n`);
  }

  /** Mostly a link to the other. */
  #setDbus(machineId: string): void {
    const name = 'var/lib/dbus/machine-id';
    const isFile = lstatSync(this.#file(name), { throwIfNoEntry: false })?.isFile() === true;
    if (isFile) this.#replace(name, `${machineId}\n`, 0o444);
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
