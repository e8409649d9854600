import type { RequestListener, Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { boundedServer } from '../relay/stream-server.js';

/** The control plane's own port: its requests are small, and have to come within a minute. Does not listen yet. */
export function createApiServer(app: RequestListener, secure?: { cert: Buffer; key: Buffer }): Server | TlsServer {
  return boundedServer({ requestTimeout: 60_000, keepAliveTimeout: 75_000 }, secure).on('request', app);
}
