import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.js';

const LIMIT_BYTES = 4 * 1024 * 1024;

/** The JSON object in a request's body; empty when there is no body. @throws HttpError 400. */
export async function readJsonBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const text = (await readBody(request)).toString('utf8');
  if (text.trim() === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return { ...parsed };
  } catch {
    // Answered below.
  }
  throw new HttpError(400, 'the body is no JSON object');
}

/** By events: an async iterator would be several times the code, all of it cold when a sandbox wakes. */
function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > LIMIT_BYTES) reject(new HttpError(413, 'the body is too large'));
      else chunks.push(chunk);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
    request.once('close', () => {
      if (!request.complete) reject(new HttpError(400, 'the body ended early'));
    });
  });
}
