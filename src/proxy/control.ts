import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Answer } from '../relay/answer.js';
import { refuse } from '../relay/refuse.js';

/** For a request of the control plane, whose bodies are small. The data plane's port has no such limit: uploads take hours. */
export const CONTROL_REQUEST_MS = 60_000;

/** Serves a request whose body has to come within a time. */
export function serveWithin(
  ms: number,
  serve: RequestListener,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const late = setTimeout(() => {
    if (request.complete || response.headersSent) return;
    refuse(response, { status: 408, body: { code: 408, message: 'the request did not come in time' } }, request);
  }, ms);
  const stop = (): void => clearTimeout(late);
  request.once('end', stop).once('close', stop);
  serve(request, response);
}

/** An answer on the bare connection of an upgrade that there is nothing for. */
export function lastAnswer(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new Answer(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  socket.on('error', () => socket.destroy());
  response.once('finish', () => socket.destroySoon());
  return response;
}
