import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ANY_ORIGIN } from '../relay/any-origin.js';
import { refuse } from '../relay/refuse.js';
import { endOfStream } from './connect-frames.js';

const RPC = /^\/(process\.Process|filesystem\.Filesystem)\//;

/** Answers in the agent's place, as the agent does: clients read the code of a Connect error, and the status of others. */
export function refuseAccess(out: ServerResponse | Duplex, request: IncomingMessage, message: string): void {
  if (!(out instanceof ServerResponse) || !RPC.test(request.url ?? '')) {
    return refuse(out, { status: 401, body: { code: 401, message }, asAgent: true }, request);
  }
  const error = { code: 'unauthenticated', message };
  const type = request.headers['content-type'] ?? '';
  // A stream is accepted, and ends with its error.
  const isStream = type.startsWith('application/connect+');
  const body = isStream ? endOfStream(error) : Buffer.from(JSON.stringify(error));
  out
    .writeHead(isStream ? 200 : 401, {
      'content-type': isStream ? type : 'application/json',
      'content-length': body.length,
      ...ANY_ORIGIN,
    })
    .end(body);
}
