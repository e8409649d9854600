import { access } from 'node:fs/promises';
import { VirshError } from './errors.js';
import { virsh } from './virsh.js';

/** The weight that a machine is born with. */
const CPU_SHARES = { v1: 1024, v2: 100 };
const DISK_WEIGHT = 100;
const LEAST_DISK_WEIGHT = 10;
const LEAST_CPU_SHARES = 2;

const GONE = /domain not found|no domain with matching|failed to get domain|domain is not running/i;

type Kind = 'weights of CPU' | 'weights of disks' | 'limits of disks';

/** Sets what a live machine may take beside others. What the host cannot do is found out once, and not tried again. */
export class Shares {
  readonly #missing = new Set<Kind>();

  constructor(private readonly uri: string) {}

  /** @returns what this host cannot do. */
  async set(name: string, share: number, bytesPerSecond: number | undefined): Promise<string[]> {
    const unit = CPU_SHARES[(await hasCgroup2()) ? 'v2' : 'v1'];
    const cpu = Math.max(LEAST_CPU_SHARES, Math.round(unit * share));
    const weight = Math.max(LEAST_DISK_WEIGHT, Math.round(DISK_WEIGHT * share));
    await this.#try('weights of CPU', ['schedinfo', name, '--live', '--set', `cpu_shares=${cpu}`]);
    await this.#try('weights of disks', ['blkiotune', name, '--live', '--weight', String(weight)]);
    if (bytesPerSecond !== undefined) {
      const limit = ['--total-bytes-sec', String(Math.round(bytesPerSecond))];
      await this.#try('limits of disks', ['blkdeviotune', name, 'vda', '--live', ...limit]);
    }
    return [...this.#missing];
  }

  async #try(kind: Kind, command: string[]): Promise<void> {
    if (this.#missing.has(kind)) return;
    try {
      await virsh(this.uri, command);
    } catch (error) {
      if (!(error instanceof VirshError) || GONE.test(error.message)) throw error;
      this.#missing.add(kind);
    }
  }
}

const hasCgroup2 = (): Promise<boolean> =>
  access('/sys/fs/cgroup/cgroup.controllers').then(
    () => true,
    () => false,
  );
