import koffi from 'koffi';

/** lseek(2): to the next data at or behind an offset. */
const SEEK_DATA = 3;

type Seek = (fd: number, offset: number, whence: number) => number;
let seek: Seek | undefined;

/**
 * Whether nothing was ever written to a range of a file, so that it reads as zeros. Moves the file's position.
 *
 * @returns false, too, where the file system cannot tell
 */
export function isHole(fd: number, offset: number, bytes: number): boolean {
  seek ??= koffi.load('libc.so.6').func('int64_t lseek(int, int64_t, int)') as Seek;
  const data = Number(seek(fd, offset, SEEK_DATA));
  return data === -1 ? koffi.errno() === koffi.os.errno.ENXIO : data >= offset + bytes;
}
