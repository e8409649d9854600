import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendJson } from './http-error.js';
import { letGo } from './let-go.js';

/**
 * Answers a call whose body has not been read, and never will be: what is still on its way is given up with the
 * connection. Whoever has no token could otherwise fill the memory with bodies.
 */
export function refuseUnread(request: IncomingMessage, response: ServerResponse, message: string): void {
  closeUnlessRead(request, response, MOST_OF_A_STRANGER);
  const type = request.headers['content-type'] ?? '';
  if (!type.startsWith('application/connect+')) return sendJson(response, 401, { code: 'unauthenticated', message });
  // A stream's errors are its last message; 2 marks it.
  const text = Buffer.from(JSON.stringify({ error: { code: 'unauthenticated', message } }));
  const head = Buffer.alloc(5);
  head.writeUInt8(2, 0);
  head.writeUInt32BE(text.length, 1);
  response.writeHead(200, { 'content-type': type, 'content-length': head.length + text.length });
  response.end(Buffer.concat([head, text]));
}

/** Of a body that comes without the token so much is let go before its connection is reset. */
export const MOST_OF_A_STRANGER = 65_536;

/**
 * To be called before the answer's head is sent. The connection ends after the answer; what still comes of the body is let
 * go, because a client that still sends meets a reset, which may overtake the answer.
 *
 * @param mostLetGo bytes of the rest, after which the connection is reset all the same
 */
export function closeUnlessRead(request: IncomingMessage, response: ServerResponse, mostLetGo = Infinity): void {
  if (request.complete) return;
  response.setHeader('connection', 'close');
  const { socket } = request;
  socket.destroySoon = () => {
    socket.removeAllListeners('data');
    socket.end();
    letGo(socket, mostLetGo);
  };
}
