import type http from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Located } from '../api/host-directory.js';
import { AGENT_PORT, GATEWAY_PORT_HEADER, GATEWAY_SANDBOX_HEADER, GATEWAY_TOKEN_HEADER } from '../gateway/wire.js';
import type { Destination } from '../relay/destination.js';
import { endToEnd, hasHeader, isOurs } from '../relay/headers.js';

/** Opens a sandbox's ports at this proxy; the guest never sees it. */
export const TRAFFIC_TOKEN_HEADER = 'e2b-traffic-access-token';

/** The request as the gateway of the sandbox's host gets it. */
export function destination(
  request: IncomingMessage,
  url: URL,
  target: { id: string; port: number },
  place: Located,
  options: { gatewayToken: string; agent: http.Agent; holdBody: boolean },
): Destination {
  const gateway = new URL(place.url);
  const host = target.port === AGENT_PORT ? undefined : maskedHost(place.traffic.maskRequestHost, target.port);
  const dropped = (name: string): boolean =>
    isOurs(name) ||
    name === TRAFFIC_TOKEN_HEADER ||
    (host !== undefined && name === 'host') ||
    // What another sandbox may have set for the whole domain is not for the agent.
    (target.port === AGENT_PORT && name === 'cookie');
  const headers = endToEnd(request.rawHeaders, dropped);
  if (!hasHeader(headers, 'host')) headers.unshift('Host', host ?? gateway.host);
  headers.push(
    ...[GATEWAY_TOKEN_HEADER, options.gatewayToken],
    ...[GATEWAY_SANDBOX_HEADER, target.id, GATEWAY_PORT_HEADER, String(target.port)],
  );
  const asSent = request.url ?? '/';
  const path = asSent.startsWith('/') || asSent === '*' ? asSent : `${url.pathname}${url.search}`;
  const { agent, holdBody } = options;
  // One connection serves one port of one sandbox: a fault of framing stays with those who share that port anyway.
  const shareWith = `${target.id}:${target.port}`;
  return { host: gateway.hostname, port: Number(gateway.port || 80), headers, path, agent, shareWith, holdBody };
}

const maskedHost = (mask: string | undefined, port: number): string | undefined =>
  mask?.replaceAll('${PORT}', String(port));
