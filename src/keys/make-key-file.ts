import { randomBytes } from 'node:crypto';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import path from 'node:path';
import { syncToDisk } from '../sync-to-disk.js';

/**
 * Makes the file (mode 0600) with `text` in it, on disk before this returns; its directory is made with mode 0700 if missing.
 * A file that is there already stays as it is: processes that start together all get the key of the fastest.
 */
export async function makeKeyFile(file: string, text: string): Promise<void> {
  const directory = path.dirname(file);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // A link, not a rename: it never replaces the key of a process that was faster, and never shows half a key.
    await link(draft, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft).catch(() => undefined);
  }
  await syncToDisk(directory);
}
