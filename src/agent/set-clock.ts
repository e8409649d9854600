import { createRequire } from 'node:module';
import type { load } from 'koffi';
import { HttpError } from './http-error.js';

const CLOCK_REALTIME = 0;
const BYTES_OF_TIMESPEC = 16;

/** The native part alone: the package around it looks for twenty platforms. */
const native = createRequire(import.meta.url)('@koromix/koffi-linux-x64/linux_x64/koffi.node') as { load: typeof load };
const clockSettime = native.load('libc.so.6').func('clock_settime', 'int', ['int', 'void *']);

/**
 * Sets the wall clock, to the microsecond. Node has no call for it, and a process that has costs, at the moment of a
 * restore, when everything is cold, two tenths of a second under emulation.
 * @throws HttpError 500 when the kernel refuses.
 */
export function setClock(timestamp: Date): void {
  const ms = timestamp.getTime();
  const timespec = Buffer.alloc(BYTES_OF_TIMESPEC);
  timespec.writeBigInt64LE(BigInt(Math.floor(ms / 1000)), 0);
  timespec.writeBigInt64LE(BigInt(ms % 1000) * 1_000_000n, 8);
  if (clockSettime(CLOCK_REALTIME, timespec) !== 0) throw new HttpError(500, 'the kernel refused to set the clock');
}
