import { readdir, readFile, readlink } from 'node:fs/promises';

/**
 * Stops guests' way to the network, and lets it go on: their passt processes, by signal.
 *
 * passt alone is stopped, not the machine: a guest has no other way out, and QEMU goes on to answer libvirt, so that a kill or
 * a pause still works and no guest's clock stops. Whatever else these users run that is not QEMU counts as passt.
 */
export class Passts {
  /** @param uids unix users of guests: first and last */
  constructor(private readonly uids: readonly [number, number]) {}

  /** @returns how many there are */
  stop(): Promise<number> {
    return this.#signal('SIGSTOP');
  }

  letRun(): Promise<number> {
    return this.#signal('SIGCONT');
  }

  async #signal(signal: 'SIGSTOP' | 'SIGCONT'): Promise<number> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
    const ours = await Promise.all(pids.map(async (pid) => ((await this.#isPasst(pid)) ? [pid] : [])));
    const sent = ours.flat().filter((pid) => send(pid, signal));
    return sent.length;
  }

  async #isPasst(pid: number): Promise<boolean> {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? NaN);
    if (!(uid >= this.uids[0] && uid <= this.uids[1])) return false;
    const program = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
    return program !== undefined && !/\/qemu-[^/]*$/.test(program);
  }
}

/** @returns false when it has ended meanwhile */
function send(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
