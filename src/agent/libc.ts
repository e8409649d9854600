import { createRequire } from 'node:module';
import type { errno, load } from 'koffi';

/** The native part alone: the package around it looks for twenty platforms. */
const koffi = createRequire(import.meta.url)('@koromix/koffi-linux-x64/linux_x64/koffi.node') as {
  load: typeof load;
  errno: typeof errno;
};
const libc = koffi.load('libc.so.6');

/** What Node has no call for, or one that costs much when a sandbox wakes and everything is cold. -1 is a failure. */
export const clockSettime = libc.func('clock_settime', 'int', ['int', 'void *']) as (
  clock: number,
  timespec: Buffer,
) => number;
export const read = libc.func('read', 'long', ['int', 'void *', 'size_t']) as (
  descriptor: number,
  into: Buffer,
  bytes: number,
) => number;
export const poll = libc.func('poll', 'int', ['void *', 'unsigned long', 'int']) as (
  entries: Buffer,
  count: number,
  timeoutMs: number,
) => number;
/** Of the last call of these that failed. */
export const lastErrno = (): number => koffi.errno();
