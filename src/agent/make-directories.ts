import { chown, mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { User } from './users.js';

/** `mkdir -p`; every directory that was missing belongs to `user`. */
export async function makeDirectories(directory: string, user: User): Promise<void> {
  const first = await mkdir(directory, { recursive: true });
  if (first === undefined) return;
  for (let made = directory; ; made = path.dirname(made)) {
    await chown(made, user.uid, user.gid);
    if (made === first || made === '/') return;
  }
}
