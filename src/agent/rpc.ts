import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Filesystem } from '../gen/filesystem/filesystem_pb.js';
import { Process } from '../gen/process/process_pb.js';
import type { AgentState } from './agent-state.js';
import { refusal } from './authorize.js';
import { filesystemService } from './filesystem/filesystem-service.js';
import { sendListingsAsWritten } from './filesystem/listing-answer.js';
import type { ProcessEvents } from './process/process-events.js';
import { processService, type ProcessOptions } from './process/process-service.js';
import { closeUnlessRead, refuseUnread } from './refuse-unread.js';
import { normaliseTimeout } from './rpc-timeout.js';

/** A message is held whole, some times over; files go another way. */
const LONGEST_MESSAGE = 32 * 1024 * 1024;

export const isRpc = (pathname: string): boolean => /^\/(process\.Process|filesystem\.Filesystem)\//.test(pathname);

export function rpcListener(state: AgentState, events: ProcessEvents, options: ProcessOptions): RequestListener {
  const adapter = connectNodeAdapter({
    routes: (router) => {
      router.service(Process, processService(state, events, options));
      router.service(Filesystem, filesystemService(state));
      sendListingsAsWritten(router);
    },
    acceptCompression: [],
    readMaxBytes: LONGEST_MESSAGE,
    grpc: false,
    grpcWeb: false,
  });
  return (request, response) => {
    // Not in an interceptor: a message is read whole before one of those is asked.
    const refused = refusal(state, request.headers['x-access-token'] as string | undefined);
    if (refused !== undefined) return refuseUnread(request, response, refused);
    normaliseTimeout(request);
    answerBeforeEnd(request, response);
    adapter(request, response);
  };
}

/**
 * Lets a client hear of a message that is too long while it still sends. The adapter stops reading there, and its iterator
 * would destroy the connection with the answer.
 */
function answerBeforeEnd(request: IncomingMessage, response: ServerResponse): void {
  request[Symbol.asyncIterator] = () => request.iterator({ destroyOnReturn: false });
  const writeHead = response.writeHead.bind(response) as (...head: unknown[]) => ServerResponse;
  response.writeHead = (...head: unknown[]): ServerResponse => {
    closeUnlessRead(request, response);
    return writeHead(...head);
  };
}
