import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GatewayDeps } from './gateway-deps.js';
import type { SandboxList } from './wire.js';

/** The host's index and facts, for the api; shapes in `wire.ts`. */
export async function answerInternal(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://gateway');
  const send = (status: number, body: unknown): void => {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  if (request.method !== 'GET') return send(405, { code: 405, message: `${request.method ?? ''} is not known here` });
  if (url.pathname === '/internal/host') return send(200, await deps.report());
  if (url.pathname === '/internal/sandboxes') {
    const list: SandboxList = { sandboxes: deps.index.list(url.searchParams.get('tenant') ?? undefined) };
    return send(200, list);
  }
  const id = /^\/internal\/sandboxes\/([a-z0-9]+)$/.exec(url.pathname)?.[1];
  const view = id === undefined ? undefined : deps.index.get(id);
  if (view !== undefined) return send(200, view);
  send(404, { code: 404, message: `this host has nothing at ${url.pathname}` });
}
