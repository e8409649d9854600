import type { IncomingMessage } from 'node:http';
import { HttpError } from './http-error.js';

const LIMIT_BYTES = 4 * 1024 * 1024;

/** The JSON object in a request's body; empty when there is no body. @throws HttpError 400. */
export async function readJsonBody(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LIMIT_BYTES) throw new HttpError(413, 'the body is too large');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (text.trim() === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return { ...parsed };
  } catch {
    // Answered below.
  }
  throw new HttpError(400, 'the body is no JSON object');
}
