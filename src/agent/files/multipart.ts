import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import busboy from 'busboy';
import { HttpError } from '../http-error.js';
import { partsAsFiles } from './parts-as-files.js';

/**
 * Calls `handle` for the parts named `file`, one after the other. The file name is a whole path; a part may have none, such as
 * one that a browser's `FormData` makes of a string.
 */
export async function eachPart(
  headers: IncomingHttpHeaders,
  body: Readable,
  handle: (filename: string | undefined, bytes: Readable) => Promise<void>,
): Promise<void> {
  let parser: busboy.Busboy;
  try {
    parser = busboy({ headers, preservePath: true, defParamCharset: 'utf8' });
  } catch (error) {
    throw new HttpError(400, `the body is no multipart form: ${(error as Error).message}`);
  }
  let work = Promise.resolve();
  let failure: unknown;
  parser.on('file', (name, bytes, { filename }: { filename?: string }) => {
    // Not read before its turn: the parser waits meanwhile.
    bytes.on('error', () => undefined);
    if (name !== 'file') return void bytes.resume();
    work = work
      .then(() => handle(filename, bytes))
      .catch((error: unknown) => {
        failure ??= error;
        bytes.resume();
        parser.destroy(error as Error);
      });
  });
  const asFiles = partsAsFiles(headers['content-type'] ?? '');
  const steps = asFiles === undefined ? [body, parser] : [body, asFiles, parser];
  const parsed = await pipeline(steps).catch((error: unknown) => error);
  await work;
  if (failure !== undefined) throw failure;
  if (parsed instanceof Error) throw new HttpError(400, `the body is no multipart form: ${parsed.message}`);
}
