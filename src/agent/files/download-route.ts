import { randomBytes } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AgentState } from '../agent-state.js';
import { userFiles } from '../filesystem/user-files.js';
import { HttpError } from '../http-error.js';
import { resolvePath } from '../resolve-path.js';
import { authorizeFile } from './authorize-file.js';
import { askedRanges, contentRange, lengthOf, wrapping, type ByteRange, type Wrapping } from './byte-ranges.js';
import { contentType } from './content-type.js';
import { condition, lastModified } from './preconditions.js';
import { begun, type Content } from './read-pieces.js';

/**
 * Streams a file, or those of its bytes that the request asks for, by the rules of Go's `http.ServeContent`. Files that say they
 * are empty, as in /proc, are read until they end.
 */
export async function downloadRoute(
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  state: AgentState,
): Promise<void> {
  const user = await authorizeFile(request, query, 'read', state);
  const given = query.get('path');
  if (given === null || given === '') throw new HttpError(400, 'path is missing');
  if (!takesPlain(request.headers['accept-encoding'])) throw new HttpError(406, 'only the identity encoding is served');
  const file = resolvePath(given, user.home);
  await userFiles.read(file, (content) => send(request, response, file, content));
}

async function send(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  file: string,
  { size, modifiedMs, bytes }: Content,
): Promise<void> {
  const allowed = condition(headers, modifiedMs);
  const modified = lastModified(modifiedMs);
  const always: OutgoingHttpHeaders = {
    'content-disposition': `inline; filename*=UTF-8''${encodeURIComponent(path.basename(file))}`,
    vary: 'Accept-Encoding',
    ...(modified === undefined ? {} : { 'last-modified': modified }),
  };
  if (allowed.status !== 200) return void response.writeHead(allowed.status, always).end();
  const type = contentType(file);
  const begin = async (status: number, more: OutgoingHttpHeaders, body: () => Promise<AsyncIterable<Uint8Array>>) => {
    const content = method === 'HEAD' ? undefined : await body();
    response.writeHead(status, { 'content-type': type, ...always, ...more });
    if (content === undefined) response.end();
    else await pipeline(content, response);
  };
  if (size === undefined) return begin(200, {}, bytes);
  const ranges = askedRanges(allowed.range, size);
  if (!Array.isArray(ranges)) {
    if (ranges === 'none') response.setHeader('content-range', `bytes */${size}`);
    throw new HttpError(416, ranges === 'none' ? `the file has ${size} bytes, none of those` : 'the range is invalid');
  }
  const [first] = ranges;
  const ofLength = (length: number): OutgoingHttpHeaders => ({ 'accept-ranges': 'bytes', 'content-length': length });
  if (first === undefined) return begin(200, ofLength(size), () => bytes({ start: 0, end: size - 1 }));
  if (ranges.length === 1) {
    const only = { ...ofLength(lengthOf(first)), 'content-range': contentRange(first, size) };
    return begin(206, only, () => bytes(first));
  }
  const wrapped = wrapping(ranges, size, type, randomBytes(30).toString('hex'));
  const more = { ...ofLength(wrapped.length), 'content-type': wrapped.type };
  return begin(206, more, () => begun(wrap(ranges, wrapped, bytes)));
}

async function* wrap(
  ranges: ByteRange[],
  { heads, tail }: Wrapping,
  bytes: Content['bytes'],
): AsyncGenerator<Uint8Array> {
  for (const [index, range] of ranges.entries()) {
    yield heads[index]!;
    yield* await bytes(range);
  }
  yield tail;
}

/** False when the client wrote `identity;q=0`, or `*;q=0` without naming identity. */
function takesPlain(header: string | undefined): boolean {
  const refusesAll = (name: string): boolean =>
    new RegExp(`(^|,)\\s*${name}\\s*;\\s*q=0(\\.0*)?\\s*(,|$)`).test(header ?? '');
  return !refusesAll('identity') && !(refusesAll('\\*') && !/identity/.test(header ?? ''));
}
