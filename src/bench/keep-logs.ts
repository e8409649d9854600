import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config.js';

/** Moves the logs of a service that has ended out of its state directory, over those of the last one of that name. */
export async function keepLogs({ home, stateDir }: Pick<Config, 'home' | 'stateDir'>): Promise<void> {
  const kept = keptLogs(home, path.basename(stateDir));
  await rm(kept, { recursive: true, force: true });
  await mkdir(path.dirname(kept), { recursive: true, mode: 0o700 });
  await rename(path.join(stateDir, 'logs'), kept);
}

export const keptLogs = (home: string, name: string): string => path.join(home, 'logs', name);
