import type { Stats } from 'node:fs';
import { HttpError } from '../http-error.js';

type Kind = Pick<
  Stats,
  'isDirectory' | 'isFIFO' | 'isSocket' | 'isCharacterDevice' | 'isBlockDevice' | 'isFile' | 'isSymbolicLink'
>;

export function kindOf(found: Kind): string {
  if (found.isFile()) return 'a regular file';
  if (found.isDirectory()) return 'a directory';
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  if (found.isCharacterDevice()) return 'a character device';
  if (found.isBlockDevice()) return 'a block device';
  return found.isSymbolicLink() ? 'a link' : 'of an unknown type';
}

export const isDevice = (found: Kind): boolean => found.isCharacterDevice() || found.isBlockDevice();

/** @throws HttpError 400 that says what `file` is instead. */
export function refuseUnlessFile(file: string, found: Kind): void {
  if (!found.isFile()) throw new HttpError(400, `'${file}' is ${kindOf(found)}, not a regular file`);
}

/** What can be written to at once, or fails: a pipe waits for a reader. @throws HttpError 400. */
export function refuseUnlessWritable(file: string, found: Kind): void {
  if (!isDevice(found)) refuseUnlessFile(file, found);
}
