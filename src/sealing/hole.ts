import koffi from 'koffi';

/** lseek(2): to the end; to the next data at or behind an offset. */
const SEEK_END = 2;
const SEEK_DATA = 3;

type Seek = (fd: number, offset: number, whence: number) => number;
let seek: Seek | undefined;

/**
 * Whether nothing was ever written to a range of a file, so that it reads as zeros. Moves the file's position.
 *
 * @returns false, too, where the file system cannot tell, and for a range that is not whole in the file
 */
export function isHole(fd: number, offset: number, bytes: number): boolean {
  seek ??= koffi.load('libc.so.6').func('int64_t lseek(int, int64_t, int)') as Seek;
  const data = Number(seek(fd, offset, SEEK_DATA));
  if (data !== -1) return data >= offset + bytes;
  // No more data, or beyond the end.
  return koffi.errno() === koffi.os.errno.ENXIO && Number(seek(fd, 0, SEEK_END)) >= offset + bytes;
}
