import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendJson } from './http-error.js';

/**
 * Answers a call whose body has not been read, and never will be: what is still on its way is given up with the
 * connection. Whoever has no token could otherwise fill the memory with bodies.
 */
export function refuseUnread(request: IncomingMessage, response: ServerResponse, message: string): void {
  closeUnlessRead(request, response);
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

/** Of the rest of a body so much is let go, for so long, before its connection is reset. */
const MOST_LET_GO = 65_536;
const LINGER_MS = 2_000;

/**
 * To be called before the answer's head is sent. The connection ends after the answer; a short body is let go first, because
 * a client that still sends meets a reset, which may overtake the answer.
 */
export function closeUnlessRead(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete) return;
  response.setHeader('connection', 'close');
  const { socket } = request;
  socket.destroySoon = () => {
    let letGo = 0;
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => {
      letGo += chunk.length;
      if (letGo > MOST_LET_GO) socket.destroy();
    });
    socket.on('error', () => socket.destroy()).once('end', () => socket.destroy());
    const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    socket.once('close', () => clearTimeout(timer));
    socket.end();
    socket.resume();
  };
}
