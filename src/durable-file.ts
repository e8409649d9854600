import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { syncToDisk } from './sync-to-disk.js';

/**
 * Replaces `file` as a whole: temp name, fsync, rename, fsync of the directory.
 *
 * @throws errors of the file system; that of the last step comes when `file` is the new one already, for as long as there
 *   is no power cut
 */
export async function writeDurably(file: string, content: string | Buffer, mode = 0o600): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx', mode);
    try {
      await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncToDisk(path.dirname(file));
}

/** @returns undefined when the file is absent. */
export async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const LOCK_WITHIN_MS = 10_000;
const LOCK_TRY_EVERY_MS = 20;
/** Nobody holds it for so long: whoever made it has died. */
const LOCK_STALE_MS = 30_000;

/** Runs what reads `file` and replaces it, alone among all processes: of two changes at once neither is lost. */
export async function changeAlone<T>(file: string, change: () => Promise<T>): Promise<T> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const lock = `${file}.lock`;
  await lockAt(lock);
  try {
    return await change();
  } finally {
    await rm(lock, { force: true });
  }
}

async function lockAt(lock: string): Promise<void> {
  const until = performance.now() + LOCK_WITHIN_MS;
  for (;;) {
    const made = await open(lock, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    if (made !== undefined) return made.close();
    const found = await stat(lock).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (found !== undefined && Date.now() - found.mtimeMs > LOCK_STALE_MS) await rm(lock, { force: true });
    else if (performance.now() > until) throw new Error(`the file is being changed by another process: ${lock}`);
    await delay(LOCK_TRY_EVERY_MS);
  }
}
