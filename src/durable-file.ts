import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
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
