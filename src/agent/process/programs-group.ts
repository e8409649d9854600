import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import path from 'node:path';

/** What the agent and the system keep of the guest's memory: at most so much, and at most a quarter. */
const KEPT_BYTES = 128 * 1024 * 1024;
/** Threads that users' programs leave to the agent and the system. */
const KEPT_THREADS = 512;
const MOST_ROUNDS = 20;

export type GroupEvent = 'out-of-memory' | 'too-many-threads';

/**
 * The cgroup of all that users start. When memory or threads run out there, the kernel looks for what to end there alone:
 * the agent and the system have theirs outside.
 */
export class ProgramsGroup {
  #kills = 0;
  #refusals = 0;

  private constructor(
    private readonly root: string,
    private readonly onEvent: (event: GroupEvent, count: number) => void,
  ) {
    this.#look();
  }

  /** @returns undefined where there are no cgroups of version 2, or they are not the agent's to use. */
  static open(root: string, onEvent: (event: GroupEvent, count: number) => void): ProgramsGroup | undefined {
    try {
      if (!existsSync(path.join(root, 'cgroup.controllers'))) return undefined;
      writeFileSync(path.join(root, 'cgroup.subtree_control'), '+memory +pids');
      const directory = path.join(root, 'programs');
      mkdirSync(directory, { recursive: true });
      const total = totalmem();
      writeFileSync(path.join(directory, 'memory.max'), String(total - Math.min(KEPT_BYTES, Math.floor(total / 4))));
      writeFileSync(path.join(directory, 'pids.max'), String(mostThreads()));
      const group = new ProgramsGroup(root, onEvent);
      for (const file of ['memory.events', 'pids.events']) {
        watch(path.join(directory, file), { persistent: false }, () => group.#tell());
      }
      return group;
    } catch (error) {
      console.error('users programs have no cgroup of their own', error);
      return undefined;
    }
  }

  /** How often the kernel has ended a program for want of memory, as far as the agent knows. */
  get kills(): number {
    return this.#kills;
  }

  /** Asks the kernel. */
  killsNow(): number {
    this.#tell();
    return this.#kills;
  }

  /**
   * Puts a process there that was just started, and what it has started meanwhile. Does not hold up the agent: the kernel
   * may take hundredths of a second.
   */
  async add(pid: number): Promise<void> {
    await this.#move(pid);
    const own = await ownGroup(this.root);
    if (own === undefined) return;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const others = (await readFile(own, 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '' && Number(line) !== process.pid);
      if (others.length === 0) return;
      for (const other of others) await this.#move(Number(other));
    }
  }

  async #move(pid: number): Promise<void> {
    await writeFile(path.join(this.root, 'programs/cgroup.procs'), String(pid)).catch(
      (error: NodeJS.ErrnoException) => {
        // It has ended already.
        if (error.code !== 'ESRCH') console.error(`process ${pid} cannot be put into the programs' cgroup`, error);
      },
    );
  }

  /** @returns how many more there are of each since the last look. */
  #look(): { kills: number; refusals: number } {
    const kills = Math.max(this.#kills, this.#counter('memory.events', 'oom_kill'));
    const refusals = Math.max(this.#refusals, this.#counter('pids.events', 'max'));
    const more = { kills: kills - this.#kills, refusals: refusals - this.#refusals };
    this.#kills = kills;
    this.#refusals = refusals;
    return more;
  }

  #tell(): void {
    const more = this.#look();
    if (more.kills > 0) this.onEvent('out-of-memory', more.kills);
    if (more.refusals > 0) this.onEvent('too-many-threads', more.refusals);
  }

  #counter(file: string, name: string): number {
    try {
      const text = readFileSync(path.join(this.root, 'programs', file), 'utf8');
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
    } catch {
      return 0;
    }
  }
}

function mostThreads(): number {
  const limit = (name: string): number => Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8'));
  const all = Math.min(limit('threads-max'), limit('pid_max'));
  return Math.max(all - KEPT_THREADS, Math.floor(all / 2));
}

/** The list of processes in the agent's own cgroup. */
async function ownGroup(root: string): Promise<string | undefined> {
  const own = /^0::(\/.+)$/m.exec(await readFile('/proc/self/cgroup', 'utf8'))?.[1];
  const file = own === undefined ? undefined : path.join(root, own, 'cgroup.procs');
  return file !== undefined && existsSync(file) ? file : undefined;
}
