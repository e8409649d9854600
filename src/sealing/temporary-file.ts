import { randomBytes } from 'node:crypto';
import { open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

const LEFTOVER = /^\.[0-9a-f]{16}\.tmp$/;

export interface TemporaryFile {
  handle: FileHandle;
  /** Puts the file in its place, replacing what is there. */
  moveInto(): Promise<void>;
  /** Closes the file, and removes it if it is not in its place. */
  dispose(): Promise<void>;
}

/** A new file `<target>.<16 hex digits>.tmp`, mode 0600, which becomes `target` only when it is complete. */
export async function temporaryFile(target: string): Promise<TemporaryFile> {
  const draft = `${target}.${randomBytes(8).toString('hex')}.tmp`;
  const handle = await open(draft, 'wx+', 0o600);
  let moved = false;
  return {
    handle,
    moveInto: async () => {
      await rename(draft, target);
      moved = true;
    },
    dispose: async () => {
      await handle.close();
      if (!moved) await unlink(draft).catch(() => undefined);
    },
  };
}

/**
 * Removes what a crashed attempt at `target` left behind: files `<target>.<16 hex digits>.tmp`. Call it only while
 * nobody else can be at work on `target` (under the sandbox's lock).
 */
export async function removeLeftovers(target: string): Promise<void> {
  const directory = path.dirname(target);
  const name = path.basename(target);
  const names = await readdir(directory).catch(() => []);
  const leftovers = names.filter((entry) => entry.startsWith(name) && LEFTOVER.test(entry.slice(name.length)));
  await Promise.all(leftovers.map((entry) => unlink(path.join(directory, entry))));
}
