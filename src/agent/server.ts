import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { newAgentState, type AgentState } from './agent-state.js';
import { refusal } from './authorize.js';
import { downloadRoute } from './files/download-route.js';
import { uploadRoute } from './files/upload-route.js';
import { HttpError, sendError, sendJson } from './http-error.js';
import { initRoute, type InitOptions } from './init-route.js';
import { readMetrics } from './metrics.js';
import { ProcessEvents } from './process/process-events.js';
import { isRpc, rpcListener } from './rpc.js';
import { syncRoute } from './sync-route.js';
import { tunnel } from './tunnel.js';

export type AgentOptions = Omit<InitOptions, 'onRestored'>;

/** The guest's agent, not yet listening. */
export function createAgent(options: AgentOptions): Server {
  const state = newAgentState();
  const events = new ProcessEvents();
  const rpc = rpcListener(state, events);
  const sockets = new Set<Socket>();
  // Connections from before a pause lead nowhere, and nobody will ever say so.
  const onRestored = (request: IncomingMessage): void => {
    for (const socket of sockets) if (socket !== request.socket) socket.destroy();
  };
  const server = createServer({ requestTimeout: 0, noDelay: true }, (request, response) => {
    const url = new URL(request.url ?? '/', 'http://agent');
    if (isRpc(url.pathname)) return rpc(request, response);
    route(request, response, url, state, events, { ...options, onRestored }).catch((error: unknown) =>
      sendError(response, error),
    );
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, socket, head) => tunnel(request, socket, head, state));
  return server;
}

async function route(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  state: AgentState,
  events: ProcessEvents,
  options: InitOptions,
): Promise<void> {
  const wanted = `${request.method} ${url.pathname}`;
  if (wanted === 'GET /health') return void response.writeHead(204).end();
  if (wanted === 'POST /init') return initRoute(request, response, state, options);
  // A signature can stand in for the token: these two look for themselves.
  if (wanted === 'GET /files') return downloadRoute(request, response, url.searchParams, state);
  if (wanted === 'POST /files') return uploadRoute(request, response, url.searchParams, state);
  const refused = refusal(state, request.headers['x-access-token'] as string | undefined);
  if (refused !== undefined) throw new HttpError(401, refused);
  if (wanted === 'GET /metrics') return sendJson(response, 200, await readMetrics());
  // For the host alone, like /init: the proxy lets neither through.
  if (wanted === 'POST /events') return sendJson(response, 200, events.drain());
  if (wanted === 'POST /sync') return syncRoute(response);
  if (wanted === 'GET /envs') return sendJson(response, 200, state.envVars);
  throw new HttpError(404, `there is no ${wanted}`);
}
