import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { HttpError } from '../http-error.js';
import { askForBody } from './credit.js';

/** The decompressed body. Giving it up midway leaves the connection intact, so that an error can still be answered. */
export function requestBody(request: IncomingMessage, response: ServerResponse): Readable {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new HttpError(400, `content-encoding '${encoding}' is not supported`);
  }
  // Whose end has been told already would never end.
  if (request.destroyed) throw new HttpError(400, 'the client went away');
  const body = encoding === 'gzip' ? createGunzip() : new PassThrough();
  // It may fail before anyone reads it; who reads it later is told.
  body.on('error', () => undefined);
  request.once('close', () => {
    if (!request.complete) body.destroy(new Error('the client went away'));
  });
  // What is not wanted any more is read and dropped: the client sends all of it before it looks at the answer.
  body.once('close', () => request.unpipe(body).resume());
  request.pipe(body);
  askForBody(request, response);
  return body;
}

/** Damaged compression is the client's fault. */
export const isDamagedBody = (error: unknown): boolean =>
  ((error as NodeJS.ErrnoException).code ?? '').startsWith('Z_');
