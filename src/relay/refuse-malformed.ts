import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { ANY_ORIGIN } from './any-origin.js';

/** The client's own bytes are read and let go for this long, so that the answer reaches it before the end does. */
const LINGER_MS = 2_000;

const FOR_ANY_ORIGIN = Object.entries(ANY_ORIGIN)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('');

/** Answers with JSON, like every other refusal, what is no HTTP: headers too large, a broken head, a head that never ends. */
export function refuseMalformed<T extends Server | TlsServer>(server: T): T {
  const answering = new WeakMap<Socket, ServerResponse>();
  const refused = new WeakSet<Socket>();
  const remember = (request: IncomingMessage, response: ServerResponse): void =>
    void answering.set(request.socket, response);
  server.prependListener('request', remember);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const connection = socket as Socket;
    // What goes on after the first fault is more of the same.
    if (refused.has(connection)) return;
    refused.add(connection);
    const open = answering.get(connection);
    const inAnAnswer = open !== undefined && open.headersSent && !open.writableFinished;
    if (error.code === 'ECONNRESET' || !connection.writable || inAnAnswer) return void connection.destroy();
    const { status, message } = whatIsWrong(error.code);
    const text = JSON.stringify({ code: status, message });
    connection.on('error', () => connection.destroy());
    connection.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: application/json\r\nconnection: close\r\n` +
        `${FOR_ANY_ORIGIN}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    setTimeout(() => connection.destroy(), LINGER_MS).unref();
  });
  return server;
}

function whatIsWrong(code: string | undefined): { status: number; message: string } {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return { status: 431, message: 'the headers of the request are larger than 16 KiB together: send less in them' };
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, message: 'the request did not come in time' };
  return { status: 400, message: 'the request is not valid HTTP/1.1' };
}
