import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { refuse, type Refusal } from './refuse.js';

/** Headers of one request or answer. The size of a head in bytes has a bound of its own. */
export const MOST_HEADERS = 200;

const HEADS = new Set(['request', 'checkContinue', 'checkExpectation', 'upgrade']);

const tooManyHeaders = (most: number): Refusal => ({
  status: 431,
  body: { code: 431, message: `the request has more than ${most} headers: send fewer` },
  headers: { connection: 'close' },
});

/**
 * Shows a server's listeners every header of a request, and refuses a request with too many of them before any listener
 * sees it. Without this Node drops the headers behind the 1 000th, while its parser goes on to obey them: code that reads
 * the headers then frames the body in another way than the parser does.
 */
export function boundHeads<T extends Server | TlsServer>(server: T, most = MOST_HEADERS): T {
  server.maxHeadersCount = 0;
  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (typeof event !== 'string' || !HEADS.has(event)) return emit(event, ...args);
    const [request, out] = args as [IncomingMessage, ServerResponse | Duplex];
    if (request.rawHeaders.length <= 2 * most) return emit(event, ...args);
    refuse(out, tooManyHeaders(most), request);
    return true;
  };
  return server;
}
