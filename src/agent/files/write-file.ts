import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, chown, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HttpError } from '../http-error.js';
import { makeDirectories } from '../make-directories.js';
import type { User } from '../users.js';

/** Writes beside `file`, then renames over it: nobody sees a part of it, and a full disk leaves what was there. */
export async function writeFileAs(file: string, bytes: Readable, user: User): Promise<void> {
  const before = await stat(file).catch(() => undefined);
  if (before?.isDirectory()) throw new HttpError(400, `'${file}' is a directory`);
  await makeDirectories(path.dirname(file), user);
  const draft = path.join(path.dirname(file), `.upload-${randomBytes(8).toString('hex')}`);
  try {
    await pipeline(bytes, createWriteStream(draft, { flags: 'wx', mode: 0o644 }));
    if (before !== undefined) await chmod(draft, before.mode & 0o7777);
    await chown(draft, user.uid, user.gid);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
