import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import busboy from 'busboy';
import { HttpError } from '../http-error.js';

/** Calls `handle` for the parts named `file`, one after the other; the name is a whole path. */
export async function eachPart(
  headers: IncomingHttpHeaders,
  body: Readable,
  handle: (filename: string, bytes: Readable) => Promise<void>,
): Promise<void> {
  let parser: busboy.Busboy;
  try {
    parser = busboy({ headers, preservePath: true, defParamCharset: 'utf8' });
  } catch (error) {
    throw new HttpError(400, `the body is no multipart form: ${(error as Error).message}`);
  }
  let work = Promise.resolve();
  let failure: unknown;
  parser.on('file', (name, bytes, { filename }) => {
    // Not read before its turn: the parser waits meanwhile.
    bytes.on('error', () => undefined);
    if (name !== 'file' || !filename) return void bytes.resume();
    work = work
      .then(() => handle(filename, bytes))
      .catch((error: unknown) => {
        failure ??= error;
        bytes.resume();
        parser.destroy(error as Error);
      });
  });
  const parsed = await pipeline(body, parser).catch((error: unknown) => error);
  await work;
  if (failure !== undefined) throw failure;
  if (parsed instanceof Error) throw new HttpError(400, `the body is no multipart form: ${parsed.message}`);
}
