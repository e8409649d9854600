import type { IncomingMessage, OutgoingMessage, ServerResponse } from 'node:http';
import { AnswerDeclined, decline, openRequest, type Cuttable, type Destination, type Watch } from './destination.js';
import { MOST_HEADERS } from './bound-heads.js';
import { framed, framingOf, hasBody } from './framing.js';
import { endToEnd } from './headers.js';
import { Metered } from './metered.js';

/**
 * Trailer of an answer that was broken off, from one relay to the next. A connection that is closed in the middle loses what
 * has been read of it and not yet been passed on.
 */
const BROKEN_OFF = 'x-dormouse-broken-off';
/** How long a client whose answer was cut may take to read the rest of it. */
const READ_WITHIN_MS = 10_000;
/** To the guest's agent (`agent/files/credit.ts`): the units in which it is to ask for the body, in bytes. */
const CREDIT_HEADER = 'x-dormouse-credit';

/**
 * Passes one exchange on, both bodies streaming, without any limit of time or size. Whoever goes away, the other side
 * learns of it: an answer that breaks off is never ended as if it were whole.
 *
 * @param signal cuts the exchange
 * @returns when the exchange is over, however it ended after the answer began, or when the client is gone
 * @throws the destination's error (or the signal's reason) if there is no answer yet; nothing has been written then.
 *   `AnswerDeclined` when `watch` declined the answer
 */
export function relayRequest(
  request: IncomingMessage,
  response: ServerResponse,
  to: Destination,
  signal: AbortSignal,
  watch: Watch = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    // The client went away while its sandbox was looked for: nothing would tell of that again, and nothing would end this.
    if (response.destroyed) return resolve();
    const method = request.method ?? 'GET';
    const framing = framingOf(request);
    const body = hasBody(framing);
    const meter = to.creditBytes !== undefined && body ? new Metered() : undefined;
    const holdBody = meter !== undefined || (to.holdBody === true && body);
    const sent = framed(method, framing, to.headers);
    const credit = meter === undefined ? [] : [CREDIT_HEADER, String(to.creditBytes)];
    const outgoing = openRequest(method, to, holdBody ? [...sent, 'Expect', '100-continue', ...credit] : sent);
    let sending = false;
    let answered = false;
    let isWhole = (): boolean => false;
    let through: Cuttable | undefined;
    let drop = (): void => void response.destroy();
    let endsByItself = false;

    const cut = (): void => {
      if (answered) breakOff();
      outgoing.destroy();
      if (!answered) fail(signal.reason as Error);
    };
    const breakOff = (): void => {
      if (endsByItself) return;
      endsByItself = through?.cut(signal.aborted) === true;
      if (!endsByItself) return drop();
      const timer = setTimeout(() => response.destroy(), READ_WITHIN_MS);
      response.once('close', () => clearTimeout(timer));
    };
    const fail = (error: Error): void => {
      done();
      outgoing.destroy();
      drain();
      reject(error);
    };
    const gone = (): void => {
      done();
      if (!outgoing.writableEnded || !response.writableFinished) outgoing.destroy();
      drain();
      resolve();
    };
    // The rest of the body is let go, so that the connection can carry the refusal and the next request.
    const drain = (): void => {
      request.unpipe();
      request.resume();
    };
    const done = (): void => {
      signal.removeEventListener('abort', cut);
      response.off('close', gone);
    };
    // The parser lets no longer body through. If it ever did, its end would go on into the next request.
    const endAt = (bytes: number): void => {
      let read = 0;
      request.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > bytes) outgoing.destroy(new Error('the body is longer than its head says'));
      });
    };
    const sendBody = (granted = Infinity): void => {
      meter?.grant(granted);
      if (sending) return;
      sending = true;
      // Where no body was announced, no byte may follow the head.
      if (!body) {
        request.resume();
        return void outgoing.end();
      }
      if (framing.kind === 'length') endAt(framing.bytes);
      if (watch.onRequestBytes !== undefined) request.on('data', watch.onRequestBytes.bind(watch));
      if (meter === undefined) request.pipe(outgoing);
      else request.pipe(meter).pipe(outgoing);
    };

    signal.addEventListener('abort', cut);
    response.once('close', gone);
    request.on('error', () => undefined);
    outgoing.on('error', (error) => {
      // Whoever answers early reads no more of the body, and may close; what it has answered is passed on.
      if (answered && isWhole()) drain();
      else if (answered) breakOff();
      else if (!response.destroyed) fail(error);
    });
    // An answer that nobody asked for (`101` without an upgrade) ends the connection, and is no error to Node.
    outgoing.once('close', () => {
      if (!answered && !response.destroyed) fail(new Error('the connection was closed without a valid answer'));
    });
    outgoing.once('response', (answer) => {
      if (answer.rawHeaders.length > 2 * MOST_HEADERS) {
        answer.on('error', () => undefined);
        return fail(new Error(`the answer has more than ${MOST_HEADERS} headers`));
      }
      answered = true;
      isWhole = () => answer.complete;
      // It asks for no more; what was sent now would meet a connection that it closes, and the answer would be lost.
      if (meter !== undefined) drain();
      if (watch.declines?.(answer) === true) {
        done();
        decline(outgoing, answer);
        return reject(new AnswerDeclined(answer.headers));
      }
      answer.on('error', breakOff);
      if (holdBody && !request.readableFlowing) request.resume();
      try {
        const headers = endToEnd(answer.rawHeaders);
        response.sendDate = false;
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, watch.answerHeaders?.(headers) ?? headers);
      } catch (error) {
        // Nothing has been sent, and what still happens to this answer must not end the refusal that takes its place.
        answered = false;
        answer.removeAllListeners('error').on('error', () => undefined);
        return fail(error as Error);
      }
      const answerWatch = watch.onAnswer?.(answer);
      through = answerWatch?.through;
      const { breakOff: dropAs } = answerWatch ?? {};
      if (dropAs !== undefined) drop = () => dropAs(response);
      // An answer's head may precede its first byte by hours.
      flushHead(response);
      if (answerWatch?.onBytes !== undefined) answer.on('data', answerWatch.onBytes.bind(answerWatch));
      answer.once('close', () => {
        if (!answer.complete) breakOff();
      });
      const source = through === undefined ? answer : answer.pipe(through);
      source.pipe(response, { end: false });
      source.once('end', () => {
        if (answer.trailers[BROKEN_OFF] !== undefined) return drop();
        if (through?.brokenOff === true) response.addTrailers({ [BROKEN_OFF]: '1' });
        response.end();
      });
    });
    if (signal.aborted) return cut();
    if (holdBody) {
      outgoing.on('continue', () => sendBody());
      outgoing.on('information', ({ statusCode }) => {
        if (meter !== undefined && statusCode === 102) sendBody(to.creditBytes);
      });
      flushHead(outgoing);
    } else sendBody();
  });
}

/** Unlike `flushHeaders()`, which writes as UTF-8 what was read as Latin-1, and so garbles what is not ASCII. */
const flushHead = (message: OutgoingMessage): void => void message.write(Buffer.alloc(0));
