import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { AnswerDeclined, decline, openRequest, type Destination, type Watch } from './destination.js';
import { MOST_HEADERS } from './bound-heads.js';
import { withoutFraming } from './framing.js';
import { endToEnd } from './headers.js';

/**
 * Passes a protocol upgrade (WebSocket) on; after it, bytes go both ways until one side ends.
 *
 * @param signal cuts the connection
 * @returns when the connection is over
 * @throws the destination's error (or the signal's reason) if there is no answer yet; nothing has been written then.
 *   `AnswerDeclined` when `watch` declined an answer that is no upgrade
 */
export function relayUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  to: Destination,
  signal: AbortSignal,
  watch: Watch = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = [...withoutFraming(to.headers), 'Connection', 'Upgrade', 'Upgrade', 'websocket'];
    const outgoing = openRequest(request.method ?? 'GET', { ...to, agent: undefined as never }, headers);
    const headersOf = (answer: IncomingMessage): string[] => {
      const kept = endToEnd(answer.rawHeaders);
      return watch.answerHeaders?.(kept) ?? kept;
    };
    let other: Duplex | undefined;
    let answered = false;

    const cut = (): void => {
      outgoing.destroy();
      other?.destroy();
      if (answered) socket.destroy();
      else fail(signal.reason as Error);
    };
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', cut);
      socket.off('close', gone);
      outgoing.destroy();
      reject(error);
    };
    const gone = (): void => {
      signal.removeEventListener('abort', cut);
      if (other === undefined) outgoing.destroy();
      resolve();
    };

    signal.addEventListener('abort', cut);
    socket.on('error', () => socket.destroy());
    socket.once('close', gone);
    outgoing.on('error', (error) => {
      if (answered) socket.destroy();
      else if (!socket.destroyed) fail(error);
    });
    outgoing.once('close', () => {
      if (!answered && !socket.destroyed) fail(new Error('the connection was closed without a valid answer'));
    });
    outgoing.once('upgrade', (answer, upstream, upstreamHead) => {
      answered = true;
      other = upstream;
      const onBytes = watch.onAnswer?.(answer)?.onBytes;
      const kept = [...headersOf(answer), 'Connection', 'Upgrade'];
      socket.write(headText(answer, [...kept, 'Upgrade', answer.headers.upgrade ?? 'websocket']), 'latin1');
      if (onBytes !== undefined) upstream.on('data', onBytes);
      if (watch.onRequestBytes !== undefined) socket.on('data', watch.onRequestBytes.bind(watch));
      if (head.length > 0) upstream.write(head);
      if (upstreamHead.length > 0) socket.write(upstreamHead);
      join(socket, upstream);
      join(upstream, socket);
    });
    outgoing.once('response', (answer) => {
      if ((answer.statusCode ?? 0) < 200)
        return fail(new Error(`the answer has no valid status: ${answer.statusCode}`));
      if (answer.rawHeaders.length > 2 * MOST_HEADERS) {
        answer.on('error', () => undefined);
        return fail(new Error(`the answer has more than ${MOST_HEADERS} headers`));
      }
      answered = true;
      if (watch.declines?.(answer) === true) {
        signal.removeEventListener('abort', cut);
        socket.off('close', gone);
        decline(outgoing, answer);
        return reject(new AnswerDeclined(answer.headers));
      }
      answer.on('error', () => socket.destroy());
      socket.write(headText(answer, [...headersOf(answer), 'Connection', 'close']), 'latin1');
      answer.pipe(socket);
    });
    if (signal.aborted) return cut();
    outgoing.end();
  });
}

/** What `from` sends goes to `into`; when `from` is gone, so is `into`, after what is still on its way. */
function join(from: Duplex, into: Duplex): void {
  from.on('error', () => into.destroy());
  from.once('close', () => {
    if (into.writableFinished) into.destroy();
    else into.end(() => into.destroy());
  });
  from.pipe(into);
}

function headText(answer: IncomingMessage, headers: string[]): string {
  let text = `HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`;
  return `${text}\r\n`;
}
