import type { RequestListener, Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { boundedServer } from '../relay/stream-server.js';

/** Within this a request has to come whole. */
export const REQUEST_MS = 60_000;
/** How often Node looks for those that have not. */
const LOOK_EVERY_MS = 30_000;

/** The control plane's own port: its requests are small, and their time is bounded. Does not listen yet. */
export function createApiServer(
  app: RequestListener,
  secure?: { cert: Buffer; key: Buffer },
  requestMs = REQUEST_MS,
): Server | TlsServer {
  const limits = {
    ...{ requestTimeout: requestMs, headersTimeout: requestMs, keepAliveTimeout: 75_000 },
    connectionsCheckingInterval: Math.min(LOOK_EVERY_MS, requestMs),
  };
  return boundedServer(limits, secure).on('request', app);
}
