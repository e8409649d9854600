import http, { ServerResponse, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { AGENT_PORT, GATEWAY_PORT_HEADER, GATEWAY_SANDBOX_HEADER, GATEWAY_TOKEN_HEADER } from '../gateway/wire.js';
import { accessToken } from '../keys/access-token.js';
import type { Destination } from '../relay/destination.js';
import { endToEnd, hasHeader } from '../relay/headers.js';
import { refuse, type Refusal } from '../relay/refuse.js';
import { relayRequest } from '../relay/relay-request.js';
import { relayUpgrade } from '../relay/relay-upgrade.js';
import { streamServer } from '../relay/stream-server.js';
import { isInternalRoute } from './internal-routes.js';
import { allowAnyOrigin, isPreflight, PREFLIGHT_HEADERS } from './preflight.js';
import { signer } from './signature.js';
import { findTarget } from './target.js';

/** The part of the host directory that the data plane needs. */
export interface SandboxLocator {
  /** The gateway of the sandbox's host; undefined when no host has it. Rejects when that cannot be told. */
  locate(id: string): Promise<{ hostId: string; url: string } | undefined>;
  /** Ids of all sandboxes, newest first, not older than a few seconds. */
  ids(): Promise<string[]>;
}

export interface ProxyDeps {
  locator: SandboxLocator;
  gatewayToken: string;
  /** The master key's subkey `tokens`, to try signatures with. */
  tokensKey: Buffer;
  log: Logger;
}

/** A signed URL is tried against this many sandboxes at most; beyond, host form or headers are needed. */
const MOST_CANDIDATES = 5_000;

type ClientEnd = ServerResponse | { socket: Duplex; head: Buffer };

/** The data plane: finds the sandbox of a request and passes it to its host's gateway. Does not listen yet. */
export function createProxy(deps: ProxyDeps): Server {
  const agent = new http.Agent({ keepAlive: true });
  const server = streamServer();
  const serve = (request: IncomingMessage, client: ClientEnd): void => {
    const out = client instanceof ServerResponse ? client : client.socket;
    // The connection may break while we still look for the sandbox; without a listener that would end the process.
    if (!(out instanceof ServerResponse)) out.on('error', () => out.destroy());
    handle(deps, agent, request, client).catch((error: unknown) => {
      deps.log.error({ err: error }, 'the proxy could not serve a request');
      refuse(out, { status: 500, body: { code: 500, message: 'the proxy failed; the log of the api tells why' } });
    });
  };
  server.on('request', serve);
  server.on('upgrade', (request: IncomingMessage, socket, head: Buffer) => serve(request, { socket, head }));
  server.on('close', () => agent.destroy());
  return server;
}

async function handle(deps: ProxyDeps, agent: http.Agent, request: IncomingMessage, client: ClientEnd): Promise<void> {
  const out = client instanceof ServerResponse ? client : client.socket;
  const url = parseUrl(request.url ?? '/');
  if (url === undefined) return refuse(out, badRequest('the request target is not a path'));
  const target = findTarget(request.method ?? 'GET', url, request.headers);
  if (isPreflight(request) && (target.kind !== 'sandbox' || target.port === AGENT_PORT)) {
    return void (out as ServerResponse).writeHead(204, PREFLIGHT_HEADERS).end();
  }
  if (target.kind === 'none') return refuse(out, badRequest(target.message));

  const port = target.kind === 'sandbox' ? target.port : AGENT_PORT;
  if (port === AGENT_PORT && isInternalRoute(url.pathname)) {
    const message = 'this route of the agent is not open to clients';
    return refuse(out, { status: 404, body: { message, path: url.pathname, code: 404 } });
  }
  let id: string | undefined;
  let host: { url: string } | undefined;
  try {
    id = target.kind === 'sandbox' ? target.id : await signerOf(deps, target.file);
    if (id === undefined) {
      const message = 'the signature is of no sandbox here: it is wrong, or its sandbox has ended';
      return refuse(out, { status: 401, body: { code: 401, message } });
    }
    host = await deps.locator.locate(id);
  } catch (error) {
    deps.log.warn({ sandbox: id, err: error }, 'the host of a sandbox could not be found out');
    return refuse(out, hostDown(id));
  }
  if (host === undefined) return refuse(out, notFound(id));
  await pass(deps, request, client, destination(deps, agent, request, url, host.url, id, port), id, port);
}

async function pass(
  deps: ProxyDeps,
  request: IncomingMessage,
  client: ClientEnd,
  to: Destination,
  id: string,
  port: number,
): Promise<void> {
  const never = new AbortController().signal;
  const browser = port === AGENT_PORT && request.headers.origin !== undefined;
  try {
    if (client instanceof ServerResponse) {
      await relayRequest(request, client, to, never, browser ? { answerHeaders: allowAnyOrigin } : {});
    } else await relayUpgrade(request, client.socket, client.head, to, never);
  } catch (error) {
    const refusedAtOnce = (error as NodeJS.ErrnoException).syscall === 'connect';
    deps.log.warn({ sandbox: id, gateway: `${to.host}:${to.port}`, err: error }, 'a gateway did not answer');
    refuse(client instanceof ServerResponse ? client : client.socket, refusedAtOnce ? hostDown(id) : hostLost(id));
  }
}

function destination(
  deps: ProxyDeps,
  agent: http.Agent,
  request: IncomingMessage,
  url: URL,
  gatewayUrl: string,
  id: string,
  port: number,
): Destination {
  const gateway = new URL(gatewayUrl);
  const headers = endToEnd(request.rawHeaders, (name) => name.startsWith('x-dormouse-'));
  if (!hasHeader(headers, 'host')) headers.push('Host', gateway.host);
  headers.push(GATEWAY_TOKEN_HEADER, deps.gatewayToken, GATEWAY_SANDBOX_HEADER, id, GATEWAY_PORT_HEADER, String(port));
  const asSent = request.url ?? '/';
  const path = asSent.startsWith('/') || asSent === '*' ? asSent : `${url.pathname}${url.search}`;
  return { host: gateway.hostname, port: Number(gateway.port || 80), headers, path, agent };
}

async function signerOf(deps: ProxyDeps, file: Parameters<typeof signer>[0]): Promise<string | undefined> {
  const ids = (await deps.locator.ids()).slice(0, MOST_CANDIDATES);
  return signer(file, ids, (id) => accessToken(deps.tokensKey, id));
}

/** A target may be a path or, from a client that takes us for a forward proxy, a whole URL. */
function parseUrl(target: string): URL | undefined {
  const text = target.startsWith('/') ? `http://sandbox${target}` : target === '*' ? 'http://sandbox/' : target;
  return URL.canParse(text) ? new URL(text) : undefined;
}

const badRequest = (message: string): Refusal => ({ status: 400, body: { sandboxId: '', message, code: 400 } });

const notFound = (sandboxId: string): Refusal => ({
  status: 502,
  body: { sandboxId, message: 'The sandbox was not found', code: 502 },
});

/** Certainly nothing happened, and nothing is said about whether the sandbox runs. */
const hostDown = (sandboxId = ''): Refusal => ({
  status: 503,
  body: { sandboxId, message: 'The host of the sandbox does not answer at the moment; try again', code: 503 },
  headers: { 'retry-after': '2' },
});

const hostLost = (sandboxId: string): Refusal => ({
  status: 504,
  body: {
    sandboxId,
    message: 'The connection to the host of the sandbox broke before the answer; whether it took effect is not known',
    code: 504,
  },
});
