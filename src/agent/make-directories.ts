import { chown, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { User } from './users.js';

/** `mkdir -p`; every directory that was missing belongs to `user`. */
export async function makeDirectories(directory: string, user: User): Promise<void> {
  const first = await mkdir(directory, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    // Where the last one is a file, Node says EEXIST; where an earlier one is, ENOTDIR.
    if (error.code === 'EEXIST') throw Object.assign(new Error(`'${directory}' is no directory`), { code: 'ENOTDIR' });
    throw error;
  });
  if (first === undefined) return;
  for (let made = directory; ; made = path.dirname(made)) {
    await chown(made, user.uid, user.gid);
    if (made === first || made === '/') return;
  }
}
