import { closeSync, constants, fchmodSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** Node has no call for it. */
const flock = koffi.load('libc.so.6').func('int flock(int, int)') as (descriptor: number, operation: number) => number;
const EXCLUSIVE_AT_ONCE = 2 | 4;
const TAKEN = 'EAGAIN';

/**
 * A lock on a file, which is made if it is missing. The kernel gives it up when its process ends, however that ends; only who
 * may open the file can take it, and that is its owner.
 *
 * @returns gives it up, or undefined when another one has it
 */
export function lockFile(file: string): (() => void) | undefined {
  const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  fchmodSync(descriptor, 0o600);
  return lockDescriptor(descriptor, file);
}

/** The same on a directory that nobody but its owner may read. */
export const lockDirectory = (directory: string): (() => void) | undefined =>
  lockDescriptor(openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY), directory);

function lockDescriptor(descriptor: number, file: string): (() => void) | undefined {
  if (flock(descriptor, EXCLUSIVE_AT_ONCE) === 0) return () => closeSync(descriptor);
  const error = getSystemErrorName(-koffi.errno());
  closeSync(descriptor);
  if (error === TAKEN) return undefined;
  throw new Error(`${file} cannot be locked: ${error}`);
}
