import { execFile } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const MADE_AT_ONCE = 96;
const ENOUGH = 32;

/**
 * Named pipes, made ahead of time. Node gives its children sockets for pipes, and a socket cannot be opened by name:
 * `echo x > /dev/stderr` would fail.
 */
export class PipePool {
  #ready: string[] = [];
  #making: Promise<void> | undefined;
  #count = 0;

  /** @param directory of the agent alone; what is in it is removed */
  constructor(private readonly directory: string) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  async take(count: number): Promise<string[]> {
    while (this.#ready.length < count) await this.#more();
    const taken = this.#ready.splice(0, count);
    if (this.#ready.length < ENOUGH) this.#more().catch(() => undefined);
    return taken;
  }

  #more(): Promise<void> {
    this.#making ??= this.#make().finally(() => (this.#making = undefined));
    return this.#making;
  }

  async #make(): Promise<void> {
    const names = Array.from({ length: MADE_AT_ONCE }, () => path.join(this.directory, String(this.#count++)));
    await promisify(execFile)('mkfifo', ['-m', '600', ...names]);
    this.#ready.push(...names);
  }
}
