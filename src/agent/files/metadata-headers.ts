import type { IncomingHttpHeaders } from 'node:http';
import { HttpError } from '../http-error.js';
import type { Metadata } from '../metadata.js';

const PREFIX = 'x-metadata-';
const KEY_LIMIT_BYTES = 246;
const LIMIT_BYTES = 4096;

/** What the `X-Metadata-*` headers ask to be stored with a file. @throws HttpError 400. */
export function metadataHeaders(headers: IncomingHttpHeaders): Metadata {
  const metadata: Metadata = {};
  let total = 0;
  for (const [header, given] of Object.entries(headers)) {
    if (!header.startsWith(PREFIX)) continue;
    const key = header.slice(PREFIX.length);
    const value = String(given);
    if (key === '') throw new HttpError(400, 'a metadata key is empty');
    if (key.length > KEY_LIMIT_BYTES) throw new HttpError(400, `metadata key '${key}' is too long`);
    if (!/^[\x20-\x7e]*$/.test(value)) throw new HttpError(400, `metadata '${key}' is not printable ASCII`);
    total += key.length + value.length;
    metadata[key] = value;
  }
  if (total > LIMIT_BYTES) throw new HttpError(400, 'the metadata is too large');
  return metadata;
}
