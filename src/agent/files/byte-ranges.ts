/** Bytes of a file, the last one included. */
export interface ByteRange {
  start: number;
  end: number;
}

/** `none`: nothing of what was asked for is in the file. `invalid`: not to be understood. */
export type Asked = ByteRange[] | 'none' | 'invalid';

const LARGEST = 2n ** 63n - 1n;

/** Reads a header `Range` as Go's `http.ServeContent` does. No ranges: the whole file. */
export function askedRanges(header: string | undefined, size: number): Asked {
  if (header === undefined || header === '') return [];
  if (!header.startsWith('bytes=')) return 'invalid';
  const ranges: ByteRange[] = [];
  let outside = false;
  for (const each of header.slice('bytes='.length).split(',')) {
    const asked = each.trim();
    if (asked === '') continue;
    const range = readRange(asked, size);
    if (range === 'invalid') return range;
    if (range === 'none') outside = true;
    else ranges.push(range);
  }
  if (ranges.length === 0 && outside) return 'none';
  // More than the file itself: an attack, or a client that does not think.
  return ranges.reduce((sum, range) => sum + lengthOf(range), 0) > size ? [] : ranges;
}

function readRange(asked: string, size: number): ByteRange | 'none' | 'invalid' {
  const [, first, last] = /^(\d*)\s*-\s*(\d*)$/.exec(asked) ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'invalid';
  if (BigInt(first) > LARGEST || BigInt(last) > LARGEST) return 'invalid';
  if (first === '') return { start: Math.max(0, size - Number(last)), end: size - 1 };
  const start = Number(first);
  if (start >= size) return 'none';
  if (last !== '' && BigInt(last) < BigInt(first)) return 'invalid';
  return { start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
}

export const lengthOf = ({ start, end }: ByteRange): number => end - start + 1;

export const contentRange = ({ start, end }: ByteRange, size: number): string => `bytes ${start}-${end}/${size}`;

/** What surrounds several ranges of one answer. */
export interface Wrapping {
  type: string;
  /** Precedes each range, in their order. */
  heads: Buffer[];
  tail: Buffer;
  /** Of the whole body. */
  length: number;
}

export function wrapping(ranges: ByteRange[], size: number, type: string, boundary: string): Wrapping {
  const heads = ranges.map((range, index) =>
    Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Range: ${contentRange(range, size)}\r\nContent-Type: ${type}\r\n\r\n`,
    ),
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const bytes = ranges.reduce((sum, range) => sum + lengthOf(range), 0);
  const around = [...heads, tail].reduce((sum, { length }) => sum + length, 0);
  return { type: `multipart/byteranges; boundary=${boundary}`, heads, tail, length: bytes + around };
}
