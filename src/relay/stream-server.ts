import http from 'node:http';
import https from 'node:https';
import { boundHeads } from './bound-heads.js';
import { refuseMalformed } from './refuse-malformed.js';

/**
 * A server for streams: no limit on how long a request or an answer may take, only on sending its head.
 *
 * @param maxHeaderSize bytes; absent: Node's 16 KiB
 * @param mostHeaders absent: `MOST_HEADERS`
 */
export function streamServer(
  secure?: { cert: Buffer; key: Buffer },
  maxHeaderSize?: number,
  mostHeaders?: number,
): http.Server | https.Server {
  const limits = {
    ...{ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000 },
    ...(maxHeaderSize === undefined ? {} : { maxHeaderSize }),
  };
  const server = secure === undefined ? http.createServer(limits) : https.createServer({ ...limits, ...secure });
  server.timeout = 0;
  return refuseMalformed(boundHeads(server, mostHeaders));
}
