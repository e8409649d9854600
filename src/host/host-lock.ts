import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { lockFile } from './file-lock.js';

/** Root's alone; lost with the machine's memory. */
const LOCKS_DIRECTORY = '/run/dormouse/locks';

/**
 * One host worker per state directory.
 * @throws Error when another host worker has the directory.
 */
export async function lockStateDirectory(stateDir: string): Promise<() => Promise<void>> {
  return locked(path.join(stateDir, 'host.lock'), takenBy(stateDir));
}

/** What the second one on a state directory says. */
export const takenBy = (stateDir: string): string =>
  `another host worker already runs on ${stateDir}. Stop it, or give this one its own DORMOUSE_STATE_DIR.`;

/**
 * A name that one process of this machine has at a time.
 *
 * @returns gives it up
 * @throws Error(`taken`) when another one has it
 */
export async function lockOnMachine(
  name: string,
  taken: string,
  directory = LOCKS_DIRECTORY,
): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return locked(path.join(directory, name), taken);
}

function locked(file: string, taken: string): () => Promise<void> {
  const unlock = lockFile(file);
  if (unlock === undefined) throw new Error(taken);
  return async () => unlock();
}
