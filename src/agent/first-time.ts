import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Whether this is asked of `file` for the first time: afterwards it is there, also after a loss of power. */
export function isFirst(file: string): boolean {
  try {
    const made = openSync(file, 'wx', 0o600);
    try {
      fsyncSync(made);
    } finally {
      closeSync(made);
    }
    return true;
  } catch {
    return false;
  }
}
