import { ServerResponse, type IncomingMessage, type Server } from 'node:http';
import { SANDBOX_ID_PATTERN } from '../../workflows/names.js';
import { MOST_HEADERS } from '../relay/bound-heads.js';
import { refuse } from '../relay/refuse.js';
import { streamServer } from '../relay/stream-server.js';
import { forward, type ClientEnd } from './forward.js';
import type { GatewayDeps } from './gateway-deps.js';
import { sameToken } from './gateway-token.js';
import { answerInternal } from './internal.js';
import { GATEWAY_PORT_HEADER, GATEWAY_SANDBOX_HEADER, GATEWAY_TOKEN_HEADER } from './wire.js';

/** What came to the api or the proxy within Node's 16 KiB is written anew for the gateway, and grows. */
const HEAD_BYTES = 64 * 1024;
/** The proxy adds its own to those of the client. */
const HEADERS = MOST_HEADERS + 20;
const ROUTING = [GATEWAY_TOKEN_HEADER, GATEWAY_SANDBOX_HEADER, GATEWAY_PORT_HEADER];

/** The host's side of `wire.ts`: its index, and the only way to its guests. Does not listen yet. */
export function createGateway(deps: GatewayDeps): Server {
  const server = streamServer(undefined, HEAD_BYTES, HEADERS);
  server.on('request', (request: IncomingMessage, response: ServerResponse) => serve(deps, request, response));
  // Said only once the request is passed on, see `GATEWAY_ASLEEP_HEADER`.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => serve(deps, request, response));
  server.on('upgrade', (request: IncomingMessage, socket, head: Buffer) => serve(deps, request, { socket, head }));
  return server;
}

function serve(deps: GatewayDeps, request: IncomingMessage, client: ClientEnd): void {
  const out = client instanceof ServerResponse ? client : client.socket;
  handle(deps, request, client).catch((error: unknown) => {
    deps.log.error({ err: error, path: request.url?.split('?', 1)[0] }, 'the gateway could not serve a request');
    refuse(out, { status: 500, body: { code: 500, message: 'the gateway failed; its log tells why' } }, request);
  });
}

async function handle(deps: GatewayDeps, request: IncomingMessage, client: ClientEnd): Promise<void> {
  const out = client instanceof ServerResponse ? client : client.socket;
  const doubled = ROUTING.find((name) => (request.headersDistinct[name]?.length ?? 0) > 1);
  if (doubled !== undefined) {
    const message = `${doubled} was sent twice: one of the two is not the proxy's`;
    return refuse(out, { status: 400, body: { code: 400, message }, headers: { connection: 'close' } }, request);
  }
  if (!sameToken(deps.token, single(request, GATEWAY_TOKEN_HEADER) ?? '')) {
    const message = 'the gateway token is missing or wrong: api and host worker must use the same master key';
    return refuse(out, { status: 401, body: { code: 401, message } }, request);
  }
  const id = single(request, GATEWAY_SANDBOX_HEADER);
  if (id === undefined && client instanceof ServerResponse) return answerInternal(deps, request, client);
  const port = Number(single(request, GATEWAY_PORT_HEADER));
  if (id === undefined || !SANDBOX_ID_PATTERN.test(id) || !Number.isInteger(port) || port < 1 || port > 65_535) {
    const message = `${GATEWAY_SANDBOX_HEADER} and ${GATEWAY_PORT_HEADER} must name a sandbox and a port`;
    return refuse(out, { status: 400, body: { code: 400, message } }, request);
  }
  await forward(deps, request, client, id, port);
}

function single(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}
