import { readSync, writeSync } from 'node:fs';

/** Fills `into`. @throws Error if the file ends before: `ended` says what that means. */
export function readExactly(fd: number, into: Buffer, position: number, ended: () => Error): Buffer {
  for (let at = 0; at < into.length;) {
    const read = readSync(fd, into, at, into.length - at, position + at);
    if (read === 0) throw ended();
    at += read;
  }
  return into;
}

export function writeExactly(fd: number, data: Buffer, position: number): void {
  for (let at = 0; at < data.length;) at += writeSync(fd, data, at, data.length - at, position + at);
}
