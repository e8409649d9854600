import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../config.js';

/** Of services that have ended, until their measurement has. */
const ENDED = 'bench-ended';

/** Moves the logs of a service that has ended out of its state directory. */
export async function keepLogs({ home, stateDir }: Pick<Config, 'home' | 'stateDir'>): Promise<void> {
  await move(path.join(stateDir, 'logs'), path.join(home, 'logs', ENDED, path.basename(stateDir)));
}

/** @returns where the logs of a measurement that failed are kept, over those of its last failure. */
export async function keepLogsOf(home: string, measurement: string): Promise<string> {
  const kept = path.join(home, 'logs', `bench-${measurement}`);
  await move(path.join(home, 'logs', ENDED), kept);
  return kept;
}

/** A service that never started has none. */
async function move(from: string, to: string): Promise<void> {
  if ((await readdir(from).catch(() => [])).length === 0) return;
  await rm(to, { recursive: true, force: true });
  await mkdir(path.dirname(to), { recursive: true, mode: 0o700 });
  await rename(from, to);
}
