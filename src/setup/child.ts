import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { keepBounded } from './keep-bounded.js';

const RESTART_AFTER_MS = 500;

export interface ChildOptions {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  logFile: string;
  /** How long it may take to stop before it is killed. */
  stopWithinMs: number;
  /** Programs that replace themselves by what follows, see `before-guests.ts`. */
  before?: readonly string[];
  say: (line: string) => void;
}

/**
 * One process of the service: logs to a file, is started again when it dies, and dies with this process
 * (`pdeathsig`), however that ends.
 */
export class Child {
  #process: ChildProcess | undefined;
  #stopping = false;
  #unbound: (() => void) | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(private readonly options: ChildOptions) {}

  start(): void {
    this.#stopping = false;
    const { name, command, args, env, logFile, say, before = [] } = this.options;
    const log = openSync(logFile, 'a', 0o600);
    const [program, ...programArgs] = [...before, 'setpriv', '--pdeathsig', 'TERM', '--', command, ...args];
    const child = spawn(program!, programArgs, {
      env,
      stdio: ['ignore', log, log],
      // Own process group: Ctrl-C in the terminal goes to `make up` alone, which stops the roles in order.
      detached: true,
    });
    closeSync(log);
    this.#unbound ??= keepBounded(logFile);
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => {
        say(`${name} could not be started: ${error.message}`);
        resolve();
      });
      child.once('exit', (code, signal) => {
        resolve();
        if (this.#stopping) return;
        say(`${name} ended (${signal ?? `exit code ${code}`}) and is started again; its log is ${logFile}`);
        void delay(RESTART_AFTER_MS).then(() => {
          if (!this.#stopping && this.#process === child) this.start();
        });
      });
    });
  }

  /** Of the process that was started last; it may have ended. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** kill -9, and resolves once it is dead; it is started again as after any other end. */
  async crash(): Promise<void> {
    const exited = this.#exited;
    this.#process?.kill('SIGKILL');
    await exited;
  }

  /** kill -9, and is not started again. */
  async end(): Promise<void> {
    this.#stopping = true;
    await this.crash();
  }

  /** @returns false when there is no process. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#process?.kill(signal) ?? false;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#unbound?.();
    this.#unbound = undefined;
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), this.options.stopWithinMs);
    await this.#exited;
    clearTimeout(late);
  }
}
