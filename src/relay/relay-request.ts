import type { IncomingMessage, ServerResponse } from 'node:http';
import { openRequest, type Cuttable, type Destination, type Watch } from './destination.js';
import { endToEnd, hasHeader } from './headers.js';

/** How long a client whose answer was cut may take to read the rest of it. */
const READ_WITHIN_MS = 10_000;
const BODILESS = new Set(['GET', 'HEAD', 'OPTIONS', 'DELETE', 'TRACE']);

/**
 * Passes one exchange on, both bodies streaming, without any limit of time or size. Whoever goes away, the other side
 * learns of it: an answer that breaks off is never ended as if it were whole.
 *
 * @param signal cuts the exchange
 * @returns when the exchange is over, however it ended after the answer began, or when the client is gone
 * @throws the destination's error (or the signal's reason) if there is no answer yet; nothing has been written then
 */
export function relayRequest(
  request: IncomingMessage,
  response: ServerResponse,
  to: Destination,
  signal: AbortSignal,
  watch: Watch = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const method = request.method ?? 'GET';
    const outgoing = openRequest(method, to, withBodyLength(method, request, to.headers));
    let answered = false;
    let through: Cuttable | undefined;
    let endsByItself = false;

    const cut = (): void => {
      if (answered) breakOff();
      outgoing.destroy();
      if (!answered) fail(signal.reason as Error);
    };
    const breakOff = (): void => {
      if (endsByItself) return;
      endsByItself = through?.cut(signal.aborted) === true;
      if (!endsByItself) return void response.destroy();
      const timer = setTimeout(() => response.destroy(), READ_WITHIN_MS);
      response.once('close', () => clearTimeout(timer));
    };
    const fail = (error: Error): void => {
      done();
      outgoing.destroy();
      // The rest of the body is let go, so that the connection can carry the refusal and the next request.
      request.unpipe(outgoing);
      request.resume();
      reject(error);
    };
    const gone = (): void => {
      done();
      if (!outgoing.writableEnded || !response.writableFinished) outgoing.destroy();
      request.unpipe(outgoing);
      request.resume();
      resolve();
    };
    const done = (): void => {
      signal.removeEventListener('abort', cut);
      response.off('close', gone);
    };

    signal.addEventListener('abort', cut);
    response.once('close', gone);
    request.on('error', () => undefined);
    outgoing.on('error', (error) => {
      if (answered) breakOff();
      else if (!response.destroyed) fail(error);
    });
    outgoing.once('response', (answer) => {
      answered = true;
      const answerWatch = watch.onAnswer?.(answer);
      through = answerWatch?.through;
      const headers = endToEnd(answer.rawHeaders);
      response.sendDate = false;
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, watch.answerHeaders?.(headers) ?? headers);
      // An answer's head may precede its first byte by hours.
      response.flushHeaders();
      if (answerWatch !== undefined) answer.on('data', answerWatch.onBytes.bind(answerWatch));
      answer.on('error', breakOff);
      answer.once('close', () => {
        if (!answer.complete) breakOff();
      });
      if (through === undefined) answer.pipe(response);
      else answer.pipe(through).pipe(response);
    });
    if (signal.aborted) return cut();
    if (watch.onRequestBytes !== undefined) request.on('data', watch.onRequestBytes.bind(watch));
    request.pipe(outgoing);
  });
}

function withBodyLength(method: string, request: IncomingMessage, headers: string[]): string[] {
  if (request.headers['transfer-encoding'] !== undefined) return [...headers, 'Transfer-Encoding', 'chunked'];
  if (BODILESS.has(method) || hasHeader(headers, 'content-length')) return headers;
  return [...headers, 'Content-Length', '0'];
}
