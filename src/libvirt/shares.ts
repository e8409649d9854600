import { access } from 'node:fs/promises';
import { VirshError } from './errors.js';
import { setGroupNice } from './group-nice.js';
import { virsh } from './virsh.js';

/** The weight that a machine is born with. */
const CPU_SHARES = { v1: 1024, v2: 100 };
const DISK_WEIGHT = 100;
const LEAST_DISK_WEIGHT = 10;
const LEAST_CPU_SHARES = 2;

/** A host that said so is asked again after this: an operator may have changed it, and it may have been a mistake. */
const ASK_AGAIN_AFTER_MS = 600_000;

/**
 * What libvirt says when the host has no such thing, for any machine. That a weight is "valid only for" a scheduler it says, too, of
 * a machine whose cgroup has just gone.
 */
const HOST_HAS_NOT = [
  /cgroup CPU controller is not mounted/i,
  /blkio cgroup isn't mounted/i,
  /v[12] controller '\w+' is not (available|mounted)/i,
  /(CPU|Block I\/O) tuning is not available (in session mode|on this host)/i,
  /blkio (device )?weight is valid only for/i,
  /block I\/O throttling (is )?not supported/i,
  /unable to write to '\/sys\/fs\/cgroup\/.*read-only file system/i,
];

/** Of a machine that ends, or that a step of its own holds: the next command would wait as long, and hear the same. */
const OF_THE_MACHINE =
  /domain not found|no domain with matching|failed to get domain|domain is not running|state change lock|timed out/i;

/** Whether what virsh said is of the host, and not of the machine that was asked about. */
export const isOfTheHost = (message: string): boolean => HOST_HAS_NOT.some((pattern) => pattern.test(message));

type Kind = 'weights of CPU' | 'weights of disks' | 'limits of disks';

/** Sets what a live machine may take beside others. What the host cannot do is not tried for each machine anew. */
export class Shares {
  /** Until when they are not tried. */
  readonly #missing = new Map<Kind, number>();
  /** Set once already: what a machine's failure says of them is of that machine, whose guest may have caused it. */
  readonly #there = new Set<Kind>();

  constructor(
    private readonly run: (command: string[]) => Promise<unknown>,
    private readonly now: () => number = () => performance.now(),
    /** Where the host has no weights of CPU. */
    private readonly groupNice: typeof setGroupNice = () => Promise.resolve(false),
  ) {}

  static at(uri: string): Shares {
    return new Shares((command) => virsh(uri, command), undefined, setGroupNice);
  }

  /**
   * @returns what this host cannot do.
   * @throws VirshError what kept this machine from its share, or from a part of it
   */
  async set(name: string, share: number, bytesPerSecond: number | undefined): Promise<string[]> {
    const unit = CPU_SHARES[(await hasCgroup2()) ? 'v2' : 'v1'];
    const cpu = Math.max(LEAST_CPU_SHARES, Math.round(unit * share));
    const weight = Math.max(LEAST_DISK_WEIGHT, Math.round(DISK_WEIGHT * share));
    const commands: [Kind, string[]][] = [
      ['weights of CPU', ['schedinfo', name, '--live', '--set', `cpu_shares=${cpu}`]],
      ['weights of disks', ['blkiotune', name, '--live', '--weight', String(weight)]],
    ];
    if (bytesPerSecond !== undefined) {
      const limit = ['--total-bytes-sec', String(Math.round(bytesPerSecond))];
      commands.push(['limits of disks', ['blkdeviotune', name, 'vda', '--live', ...limit]]);
    }
    const failures: VirshError[] = [];
    for (const [kind, command] of commands) {
      const failure = await this.#try(kind, command);
      if (failure !== undefined) failures.push(failure);
      if (failure !== undefined && OF_THE_MACHINE.test(failure.message)) break;
    }
    if (failures[0] !== undefined) throw failures[0];
    const missing = new Set(this.#missing.keys());
    if (missing.has('weights of CPU') && (await this.groupNice(name, share))) missing.delete('weights of CPU');
    return [...missing];
  }

  /** @returns why it could not be set for this machine */
  async #try(kind: Kind, command: string[]): Promise<VirshError | undefined> {
    if ((this.#missing.get(kind) ?? 0) > this.now()) return undefined;
    try {
      await this.run(command);
      this.#missing.delete(kind);
      this.#there.add(kind);
    } catch (error) {
      if (!(error instanceof VirshError)) throw error;
      if (this.#there.has(kind) || !isOfTheHost(error.message)) return error;
      this.#missing.set(kind, this.now() + ASK_AGAIN_AFTER_MS);
    }
    return undefined;
  }
}

const hasCgroup2 = (): Promise<boolean> =>
  access('/sys/fs/cgroup/cgroup.controllers').then(
    () => true,
    () => false,
  );
