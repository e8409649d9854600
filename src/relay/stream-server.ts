import http from 'node:http';
import { refuseMalformed } from './refuse-malformed.js';

/** A server for streams: no limit on how long a request or an answer may take, only on sending its head. */
export function streamServer(): http.Server {
  const server = http.createServer({ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000 });
  server.timeout = 0;
  return refuseMalformed(server);
}
