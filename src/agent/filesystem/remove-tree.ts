import { execFile } from 'node:child_process';
import { lstat, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * Removes whatever is at `file`; nothing there is no error. A directory is left to `rm`, which goes step by step where
 * a tree is deeper than a path can say; when it cannot, Node's own attempt tells why.
 */
export async function removeTree(file: string): Promise<void> {
  const found = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (found?.isDirectory() === true) await promisify(execFile)('rm', ['-rf', '--', file]).catch(() => undefined);
  await rm(file, { recursive: true, force: true });
}
