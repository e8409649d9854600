import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { newAgentState, type AgentState } from './agent-state.js';
import { refusal } from './authorize.js';
import { creditUnit } from './files/credit.js';
import { downloadRoute } from './files/download-route.js';
import { uploadRoute } from './files/upload-route.js';
import { HttpError, sendError, sendJson, toHttpError } from './http-error.js';
import { initRoute, type InitOptions } from './init-route.js';
import { readMetrics } from './metrics.js';
import { ProcessEvents } from './process/process-events.js';
import { ProgramsGroup } from './process/programs-group.js';
import { closeUnlessRead, MOST_OF_A_STRANGER } from './refuse-unread.js';
import { isRpc, rpcListener } from './rpc.js';
import type { Survival } from './survival/survival.js';
import { syncRoute } from './sync-route.js';
import { tunnel } from './tunnel.js';

export interface AgentOptions extends Omit<InitOptions, 'onRestored' | 'onChanged'> {
  /** Where cgroups of version 2 are mounted. Absent: what users start stays in the agent's. */
  cgroups?: string | undefined;
  /** Absent where the agent leaves nothing to a later one. */
  survival?: Survival | undefined;
}

/** The guest's agent, not yet listening. */
export function createAgent(options: AgentOptions): Server {
  const { survival } = options;
  const state = survival?.before?.state ?? newAgentState();
  survival?.ofState(state);
  const events = new ProcessEvents();
  const { cgroups } = options;
  const group =
    cgroups === undefined ? undefined : ProgramsGroup.open(cgroups, (event, count) => events.note(event, count));
  const rpc = rpcListener(state, events, { ...options, group });
  const sockets = new Set<Socket>();
  // Connections from before a pause lead nowhere, and nobody will ever say so. They are reset, not ended: the kernel would
  // keep an ended one for minutes, and reset a new connection that happens to come from the same port.
  const onRestored = (request: IncomingMessage): void => {
    for (const socket of sockets) if (socket !== request.socket) socket.resetAndDestroy();
  };
  const server = createServer({ requestTimeout: 0, noDelay: true }, (request, response) => {
    const url = request.url ?? '/';
    const [pathname = '/'] = url.split('?', 1);
    if (isRpc(pathname)) return rpc(request, response);
    // All behind the first `?`: a later one belongs to a value.
    const asked = { pathname, query: new URLSearchParams(url.slice(pathname.length)) };
    route(request, response, asked, state, events, {
      ...options,
      onRestored,
      onChanged: () => survival?.changed(),
    }).catch((error: unknown) => refuse(request, response, error));
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (creditUnit(request) === undefined && isAdmitted(request, state)) response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, socket, head) => tunnel(request, socket as Socket, head, state));
  return server;
}

/** Whether the body may come: a route that looks for itself asks for it, too, and closes the connection if it refuses. */
const isAdmitted = (request: IncomingMessage, state: AgentState): boolean =>
  !isRpc(request.url ?? '/') || refusal(state, request.headers['x-access-token'] as string | undefined) === undefined;

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (!response.headersSent) {
    closeUnlessRead(request, response, toHttpError(error).status === 401 ? MOST_OF_A_STRANGER : Infinity);
  }
  sendError(response, error);
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  { pathname, query }: { pathname: string; query: URLSearchParams },
  state: AgentState,
  events: ProcessEvents,
  options: InitOptions,
): Promise<void> {
  const wanted = `${request.method} ${pathname}`;
  if (wanted === 'GET /health') return void response.writeHead(204).end();
  if (wanted === 'POST /init') return initRoute(request, response, state, options);
  // A signature can stand in for the token: these two look for themselves.
  if (wanted === 'GET /files' || wanted === 'HEAD /files') return downloadRoute(request, response, query, state);
  if (wanted === 'POST /files') return uploadRoute(request, response, query, state);
  const refused = refusal(state, request.headers['x-access-token'] as string | undefined);
  if (refused !== undefined) throw new HttpError(401, refused);
  if (wanted === 'GET /metrics') return sendJson(response, 200, await readMetrics());
  // For the host alone, like /init: the proxy lets neither through.
  if (wanted === 'POST /events') return sendJson(response, 200, events.drain());
  if (wanted === 'POST /sync') return syncRoute(response);
  if (wanted === 'GET /envs') return sendJson(response, 200, state.envVars);
  throw new HttpError(404, `there is no ${wanted}`);
}
