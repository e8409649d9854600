import { createWriteStream, type Stats } from 'node:fs';
import { chmod, chown, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { draftName } from '../draft-name.js';
import { HttpError } from '../http-error.js';
import { makeDirectories } from '../make-directories.js';
import { writeMetadata, type Metadata } from '../metadata.js';
import type { User } from '../users.js';
import { refuseUnlessWritable } from './file-kind.js';
import { openToWrite } from './open-file.js';
import { isDamagedBody } from './request-body.js';

/** Writes beside the file, then renames over it: nobody sees a part of it, and a full disk leaves what was there. */
export async function writeFileAs(file: string, bytes: Readable, user: User, metadata: Metadata): Promise<void> {
  const before = await stat(file).catch(() => undefined);
  if (before !== undefined) refuseUnlessWritable(file, before);
  try {
    if (before !== undefined && !isReplaceable(file, before)) await pipeline(bytes, await intoAsItIs(file));
    else await replace(before === undefined ? file : await realpath(file), bytes, { user, before, metadata });
  } catch (thrown) {
    throw uploadError(bytes.errored ?? thrown);
  }
}

export const uploadError = (error: unknown): unknown =>
  isDamagedBody(error) ? new HttpError(400, `the body is damaged: ${(error as Error).message}`) : error;

/** Devices and the kernel's own files are written to as they are. */
const isReplaceable = (file: string, before: Stats): boolean => before.isFile() && !/^\/(proc|sys)\//.test(file);

const intoAsItIs = async (file: string): Promise<Writable> => (await openToWrite(file)).handle.createWriteStream();

async function replace(
  file: string,
  bytes: Readable,
  { user, before, metadata }: { user: User; before: Stats | undefined; metadata: Metadata },
): Promise<void> {
  await makeDirectories(path.dirname(file), user);
  const draft = path.join(path.dirname(file), draftName(before !== undefined));
  try {
    await pipeline(bytes, createWriteStream(draft, { flags: 'wx', mode: 0o644 }));
    await writeMetadata(draft, metadata);
    await chown(draft, user.uid, user.gid);
    // After chown, which takes special bits away.
    if (before !== undefined) await chmod(draft, before.mode & 0o7777);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
