import { type ServerResponse, type Agent, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Located } from '../api/host-directory.js';
import { AGENT_PORT, type Asleep } from '../gateway/wire.js';
import { accessToken, verifyTrafficToken, type TokenOwner } from '../keys/access-token.js';
import { isPreflight, PREFLIGHT_HEADERS } from '../relay/any-origin.js';
import { PartitionedAgent } from '../relay/destination.js';
import type { TenantConnections } from '../tenants/connections.js';
import { refuse, type Refusal } from '../relay/refuse.js';
import { streamServer } from '../relay/stream-server.js';
import { CONTROL_REQUEST_MS, lastAnswer, serveWithin } from './control.js';
import { destination, TRAFFIC_TOKEN_HEADER } from './destination.js';
import { isInternalRoute } from './internal-routes.js';
import { agentRefusal, mayWake, opensAgent } from './may-wake.js';
import { outOf, passOn, seldomIn, type ClientEnd } from './pass-on.js';
import { Held } from './held.js';
import type { SearchLimits } from './search-limits.js';
import {
  badRequest,
  hostDown,
  internalRoute,
  nobodysSignature,
  notFound,
  tooManyOfTenant,
  tooManySearches,
  trafficTokenNeeded,
} from './refusals.js';
import { SIGNATURE_ENDED, signatureEnded, signer, type SignedFile } from '../keys/file-signature.js';
import { findTarget } from './target.js';

/** The part of the host directory that the data plane needs. */
export interface SandboxLocator {
  /**
   * The gateway of the sandbox's host; undefined when no host has it. Rejects when that cannot be told.
   * @param maxAgeMs how old the answer may be; absent: old enough only to tell the place
   */
  locate(id: string, maxAgeMs?: number): Promise<Located | undefined>;
  /** What the tokens of so many sandboxes are derived from, newest first, not older than a few seconds. */
  newest(most: number): Promise<{ found: TokenOwner[]; missing: string[] }>;
}

export interface ProxyDeps {
  locator: SandboxLocator;
  /** Wakes a sleeping sandbox; answers when it runs, rejects with a code of `workflows/errors.ts`. */
  wake(id: string, asleep: Asleep): Promise<void>;
  /** How long a request may wait for a sleeping sandbox. */
  holdMs: number;
  /** Requests that may wait for one sleeping sandbox. */
  connectionLimit: number;
  /** Of all sandboxes of each tenant. */
  connections: TenantConnections;
  searchLimits: SearchLimits;
  gatewayToken: string;
  /** The master key's subkey `tokens`. */
  tokensKey: Buffer;
  /** Requests to this host name are the control plane's, so that one port can be all that clients know. */
  control?: { host: string; serve: RequestListener; withinMs?: number };
  log: Logger;
}

/** A signed URL is tried against this many sandboxes at most; beyond, host form or headers are needed. */
const MOST_CANDIDATES = 5_000;

/** Of tokens that were rotated by way of another api. */
const ROTATION_COUNTS_WITHIN_MS = 1_000;

/** The data plane: finds the sandbox of a request and passes it to its host's gateway. Does not listen yet. */
export function createProxy(deps: ProxyDeps, server: Server | TlsServer = streamServer()): Server | TlsServer {
  const agent = new PartitionedAgent({ keepAlive: true });
  const held = new Held(deps.connectionLimit);
  const serve = (request: IncomingMessage, client: ClientEnd): void => {
    const out = outOf(client);
    handle(deps, agent, held, request, client).catch((error: unknown) => {
      deps.log.error({ err: error }, 'the proxy could not serve a request');
      refuse(
        out,
        { status: 500, body: { code: 500, message: 'the proxy failed; the log of the api tells why' } },
        request,
      );
    });
  };
  const { control } = deps;
  const isControl = ({ headers }: IncomingMessage): boolean =>
    control !== undefined && headers.host?.replace(/:\d+$/, '').toLowerCase() === control.host;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!isControl(request)) return serve(request, response);
    serveWithin(control!.withinMs ?? CONTROL_REQUEST_MS, control!.serve, request, response);
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (isControl(request)) control!.serve(request, lastAnswer(request, socket));
    else serve(request, { socket, head });
  });
  server.on('close', () => agent.destroy());
  return server;
}

async function handle(
  deps: ProxyDeps,
  agent: Agent,
  held: Held,
  request: IncomingMessage,
  client: ClientEnd,
): Promise<void> {
  const out = outOf(client);
  const method = request.method ?? 'GET';
  const url = parseUrl(request.url ?? '/');
  if (url === undefined) return refuse(out, badRequest('the request target is not a path'), request);
  const target = findTarget(method, url, request.headers);
  if (isPreflight(request) && (target.kind !== 'sandbox' || target.port === AGENT_PORT)) {
    return void (out as ServerResponse).writeHead(204, PREFLIGHT_HEADERS).end();
  }
  if (target.kind === 'none') return refuse(out, badRequest(target.message), request);

  const port = target.kind === 'sandbox' ? target.port : AGENT_PORT;
  if (port === AGENT_PORT && isInternalRoute(url.pathname)) return refuse(out, internalRoute(url.pathname), request);
  let id: string | undefined;
  let place: Located | undefined;
  try {
    const found = target.kind === 'sandbox' ? target.id : await findSigner(deps, request, target.file);
    if (typeof found !== 'string') return refuse(out, found, request);
    id = found;
    place = await deps.locator.locate(id);
    if (place !== undefined && asksForToken(place, port))
      place = await deps.locator.locate(id, ROTATION_COUNTS_WITHIN_MS);
  } catch (error) {
    seldomIn(deps.log).warn('', { sandbox: id }, error, 'the host of a sandbox could not be found out');
    return refuse(out, hostDown(id), request);
  }
  if (place === undefined) return refuse(out, notFound(id), request);
  const { traffic, owner } = place;
  if (port !== AGENT_PORT && traffic.allowPublicTraffic === false && !showsTrafficToken(deps, request, owner)) {
    return refuse(out, trafficTokenNeeded(id), request);
  }
  const { headers } = request;
  const asked = { method, url, headers };
  if (port === AGENT_PORT && agentRefusal(asked, owner, deps.tokensKey, Date.now()) === SIGNATURE_ENDED) {
    return refuse(out, nobodysSignature(SIGNATURE_ENDED), request);
  }
  const whose = opensAgent(asked, { owner, port }, deps.tokensKey, Date.now()) ? 'owner' : 'stranger';
  const { tenant } = place;
  if (out.destroyed) return;
  if (!deps.connections.enter(tenant, whose)) return refuse(out, tooManyOfTenant(id), request);
  out.once('close', () => deps.connections.leave(tenant, whose));
  const wakes = traffic.autoResume && mayWake(asked, { owner, port }, deps.tokensKey, Date.now());
  const options = { gatewayToken: deps.gatewayToken, agent, holdBody: wakes };
  const to = destination(request, url, { id, port }, place, options);
  const wake = wakes ? (asleep: Asleep) => deps.wake(id, asleep) : undefined;
  await passOn({ id, port, to, held, holdMs: deps.holdMs, wake }, request, client, deps.log);
}

/** Whether a token of the sandbox is looked at here, and not only by its agent. */
const asksForToken = ({ traffic }: Located, port: number): boolean =>
  port === AGENT_PORT ? traffic.autoResume : traffic.allowPublicTraffic === false;

function showsTrafficToken(deps: ProxyDeps, request: IncomingMessage, owner: TokenOwner): boolean {
  const shown = request.headers[TRAFFIC_TOKEN_HEADER];
  return typeof shown === 'string' && verifyTrafficToken(deps.tokensKey, owner, shown);
}

/** Trying every sandbox costs time, so it has limits. @returns the id, or why there is none. */
async function findSigner(deps: ProxyDeps, request: IncomingMessage, file: SignedFile): Promise<string | Refusal> {
  if (signatureEnded(file, Date.now())) return nobodysSignature(SIGNATURE_ENDED);
  const { found: known, missing } = await deps.locator.newest(MOST_CANDIDATES + 1);
  const owners = known.slice(0, MOST_CANDIDATES);
  const searched = await deps.searchLimits.run(
    request.socket.remoteAddress ?? '',
    () => signer(file, owners, (one) => accessToken(deps.tokensKey, one)),
    missing.length === 0,
  );
  if ('waitSeconds' in searched) return tooManySearches(searched.waitSeconds);
  if (searched.id !== undefined) return searched.id;
  // It may be of a sandbox there.
  if (missing.length > 0) return hostDown();
  const more = known.length > owners.length ? `; only the newest ${MOST_CANDIDATES} were tried` : '';
  return nobodysSignature(`the signature is of no sandbox here: it is wrong, or its sandbox has ended${more}`);
}

/** A target may be a path or, from a client that takes us for a forward proxy, a whole URL. */
function parseUrl(target: string): URL | undefined {
  const text = target.startsWith('/') ? `http://sandbox${target}` : target === '*' ? 'http://sandbox/' : target;
  return URL.canParse(text) ? new URL(text) : undefined;
}
