import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ANY_ORIGIN } from './any-origin.js';
import { refusalPage, wantsPage } from './refusal-page.js';

/** An answer of ours instead of the guest's. `body.code` repeats the status: some clients read only that. */
export interface Refusal {
  status: number;
  body: { message: string; code: number } & Record<string, unknown>;
  headers?: Record<string, string>;
  /** Given in the place of the guest's agent, which knows no pages. */
  asAgent?: true;
}

/**
 * Answers on a response or, for an upgrade, on its bare connection, which is closed after. JSON; a page when `request`
 * is a person's browser that goes there, and the answer is not the agent's.
 */
export function refuse(to: ServerResponse | Duplex, refusal: Refusal, request: IncomingMessage): void {
  if (to.destroyed) return;
  const page = to instanceof ServerResponse && refusal.asAgent !== true && wantsPage(request);
  const text = page ? refusalPage(refusal) : JSON.stringify(refusal.body);
  const headers = {
    'content-type': page ? 'text/html; charset=utf-8' : 'application/json',
    'content-length': String(Buffer.byteLength(text)),
    // A browser's script may read why: what stands here is no secret to whoever may ask.
    ...ANY_ORIGIN,
    ...(page ? { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" } : {}),
    ...refusal.headers,
  };
  if (to instanceof ServerResponse) {
    if (to.headersSent) return void to.destroy();
    to.writeHead(refusal.status, headers).end(text);
    return;
  }
  const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`);
  to.on('error', () => to.destroy());
  to.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}\r\n${lines.join('')}\r\n${text}`);
}
