import { HttpError } from './http-error.js';
import { clockSettime } from './libc.js';

const CLOCK_REALTIME = 0;
const BYTES_OF_TIMESPEC = 16;

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
