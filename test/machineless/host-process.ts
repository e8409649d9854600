import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { MachineOrder, MachinesSeen } from '../../src/bench/machineless/machine-orders.js';

const STOP_WITHIN_MS = 10_000;

/** A host worker over machines that are not there, as a process of its own: it ends with this one. */
export class HostProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiting = new Map<number, { resolve: (seen: MachinesSeen) => void; reject: (error: Error) => void }>();
  #orders = 0;

  private constructor(main: string, settings: object, env: NodeJS.ProcessEnv, logFile: string) {
    const log = openSync(logFile, 'a', 0o600);
    this.#child = fork(main, [JSON.stringify(settings)], { env, execArgv: [], stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    this.#child.on('message', (seen: MachinesSeen) => {
      this.#waiting.get(seen.id)?.resolve(seen);
      this.#waiting.delete(seen.id);
    });
    this.#exited = once(this.#child, 'exit').finally(() => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the host worker ended; its log is ${logFile}`));
    });
  }

  /** @param settings see the main. Resolves when it takes orders, and so everything else. */
  static async start(main: string, settings: object, env: NodeJS.ProcessEnv, logFile: string): Promise<HostProcess> {
    const host = new HostProcess(main, settings, env, logFile);
    await host.see();
    return host;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  order(order: Omit<MachineOrder, 'id'>): Promise<MachinesSeen> {
    const id = ++this.#orders;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, ...order }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  see = (): Promise<MachinesSeen> => this.order({});

  async isRunning(name: string): Promise<boolean> {
    return (await this.see()).running.includes(name);
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_WITHIN_MS);
    await this.#exited;
    clearTimeout(late);
  }
}
