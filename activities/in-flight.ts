import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * Steps that this host worker is in the middle of: their Temporal task tokens, in a directory of root's in memory.
 * After a crash the next worker tells Temporal that they have failed, so that they are tried again at once instead of
 * after the heartbeat's timeout.
 */
export class InFlight {
  readonly #directory: string;

  constructor(root: string, stateDir: string) {
    this.#directory = path.join(root, createHash('sha256').update(stateDir).digest('hex').slice(0, 32));
  }

  /** @returns to be called when the step has ended, however. */
  async begin(taskToken: Uint8Array): Promise<() => Promise<void>> {
    const file = path.join(this.#directory, randomBytes(8).toString('hex'));
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await writeFile(file, taskToken, { mode: 0o600 });
    return () => rm(file, { force: true });
  }

  /** Gives out what a crash left, each once. `fail` may throw: the step has timed out meanwhile, for example. */
  async abandoned(fail: (taskToken: Uint8Array) => Promise<void>): Promise<number> {
    const names = await readdir(this.#directory).catch(() => []);
    for (const name of names) {
      const file = path.join(this.#directory, name);
      const token = await readFile(file);
      if (token.length > 0) await fail(token);
      await rm(file, { force: true });
    }
    return names.length;
  }
}
