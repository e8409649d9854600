import { createHash, randomBytes } from 'node:crypto';
import { access, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Of whose steps a directory is. Its own name is a digest, which tells nobody. */
const OWNER = 'state-directory';
/** Earlier versions wrote no owner. After so long no step waits for a worker that has crashed. */
const WITHOUT_OWNER_KEPT_MS = 86_400_000;

/**
 * Steps that this host worker is in the middle of: their Temporal task tokens, in a directory of root's in memory.
 * After a crash the next worker tells Temporal that they have failed, so that they are tried again at once instead of
 * after the heartbeat's timeout.
 */
export class InFlight {
  readonly #directory: string;

  constructor(
    private readonly root: string,
    private readonly stateDir: string,
  ) {
    this.#directory = path.join(root, createHash('sha256').update(stateDir).digest('hex').slice(0, 32));
  }

  /** Call it at start, before any step begins. */
  async open(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await writeFile(path.join(this.#directory, OWNER), this.stateDir, { mode: 0o600 });
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
    const names = (await readdir(this.#directory).catch(() => [])).filter((name) => name !== OWNER);
    for (const name of names) {
      const file = path.join(this.#directory, name);
      const token = await readFile(file);
      if (token.length > 0) await fail(token);
      await rm(file, { force: true });
    }
    return names.length;
  }

  /** Removes the records of state directories that are gone: no host worker will ever look at them. @returns how many */
  async sweep(now = Date.now()): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.root).catch(() => [])) {
      const directory = path.join(this.root, name);
      if (directory === this.#directory || !(await isOver(directory, now))) continue;
      await rm(directory, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }
}

async function isOver(directory: string, now: number): Promise<boolean> {
  const owner = await readFile(path.join(directory, OWNER), 'utf8').catch(() => undefined);
  if (owner !== undefined && owner !== '') return !(await exists(owner));
  const changedAt = await stat(directory).then(
    ({ mtimeMs }) => mtimeMs,
    () => now,
  );
  return now - changedAt > WITHOUT_OWNER_KEPT_MS;
}

/** In doubt it is there. */
const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
