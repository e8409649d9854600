import type { IncomingHttpHeaders } from 'node:http';

/** What is still to be done with a request for a file, and which of its bytes then. */
export type Condition = { status: 412 | 304 } | { status: 200; range: string | undefined };

/**
 * Looks at the conditions of a request as Go's `http.ServeContent` does for a file without an entity tag: no tag matches, and
 * `*` matches whatever is there.
 */
export function condition(headers: IncomingHttpHeaders, modifiedMs: number): Condition {
  const modified = lastModifiedMs(modifiedMs);
  const ifMatch = headers['if-match'];
  const unmodifiedSince = dateOf(headers['if-unmodified-since']);
  if (ifMatch !== undefined && ifMatch !== '') {
    if (!namesAny(ifMatch)) return { status: 412 };
  } else if (modified !== undefined && modified > unmodifiedSince) return { status: 412 };
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '') {
    if (namesAny(ifNoneMatch)) return { status: 304 };
  } else if (modified !== undefined && modified <= dateOf(headers['if-modified-since'])) return { status: 304 };
  const ifRange = headers['if-range'] as string | undefined;
  const isSame = ifRange === undefined || ifRange === '' || dateOf(ifRange) === modified;
  return { status: 200, range: isSame ? headers.range : undefined };
}

/** As a header; undefined where it says nothing. */
export function lastModified(modifiedMs: number): string | undefined {
  const modified = lastModifiedMs(modifiedMs);
  return modified === undefined ? undefined : new Date(modified).toUTCString();
}

const EARLIEST = Date.UTC(1900, 0, 1);
const LATEST = Date.UTC(9999, 11, 31);

/** In whole seconds. Those whose time is unknown have that of the epoch; and a header has four digits for a year. */
function lastModifiedMs(modifiedMs: number): number | undefined {
  const modified = Math.floor(modifiedMs / 1000) * 1000;
  return modified === 0 || !(modified >= EARLIEST && modified <= LATEST) ? undefined : modified;
}

/** Whether the list has `*` in it, before anything that is no tag. */
const namesAny = (list: string): boolean => /^(?:[\s,]|(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*\*/.test(list);

const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const DATES = [
  new RegExp(`^${DAY}, \\d{2} [A-Z][a-z]{2} \\d{4} \\d{2}:\\d{2}:\\d{2} GMT$`),
  /^[A-Z][a-z]+day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  new RegExp(`^${DAY} [A-Z][a-z]{2} [ \\d]\\d \\d{2}:\\d{2}:\\d{2} \\d{4}$`),
];

/** In one of the three forms of HTTP; NaN, which compares with nothing, for all else. */
function dateOf(header: string | undefined): number {
  if (header === undefined || !DATES.some((form) => form.test(header))) return NaN;
  return Date.parse(header.endsWith('GMT') ? header : `${header} GMT`);
}
