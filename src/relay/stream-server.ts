import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { Answer } from './answer.js';
import { boundHeads } from './bound-heads.js';
import { Incoming } from './incoming.js';
import { refuseMalformed } from './refuse-malformed.js';

export interface Secure {
  cert: Buffer;
  key: Buffer;
}

/**
 * A server for streams: no limit on how long a request or an answer may take, only on sending its head.
 *
 * @param maxHeaderSize bytes; absent: Node's 16 KiB
 * @param mostHeaders absent: `MOST_HEADERS`
 */
export function streamServer(
  secure?: Secure,
  maxHeaderSize?: number,
  mostHeaders?: number,
): http.Server | https.Server {
  const limits = {
    ...{ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000 },
    ...(maxHeaderSize === undefined ? {} : { maxHeaderSize }),
  };
  const server = boundedServer(limits, secure, mostHeaders);
  server.timeout = 0;
  return server;
}

/** What every server for clients has in common: bounded heads, no upgrade but WebSockets, no connection kept by a body. */
export function boundedServer(
  limits: http.ServerOptions,
  secure?: Secure,
  mostHeaders?: number,
): http.Server | https.Server {
  const options = { ...limits, IncomingMessage: Incoming, ServerResponse: Answer };
  const server = secure === undefined ? http.createServer(options) : https.createServer({ ...options, ...secure });
  // Node takes its listener away from the connection of an upgrade: one that breaks then would end the process.
  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === 'upgrade') {
      const socket = args[1] as Socket;
      socket.on('error', () => socket.destroy());
    }
    return emit(event, ...args);
  };
  return refuseMalformed(boundHeads(server, mostHeaders));
}
