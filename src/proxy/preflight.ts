import type { IncomingMessage } from 'node:http';
import { hasHeader } from '../relay/headers.js';

/** A browser's preflight carries none of the headers that route, so nobody but the proxy can answer it. */
export const isPreflight = (request: IncomingMessage): boolean =>
  request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;

/** Every origin may: what opens a sandbox is its token, which a browser never adds by itself. */
export const PREFLIGHT_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  'access-control-allow-headers': '*, Authorization',
  'access-control-max-age': '7200',
};

/** Lets any origin read an answer of the agent that does not speak of origins itself. */
export const allowAnyOrigin = (rawHeaders: string[]): string[] =>
  hasHeader(rawHeaders, 'access-control-allow-origin')
    ? rawHeaders
    : [...rawHeaders, 'Access-Control-Allow-Origin', '*', 'Access-Control-Expose-Headers', '*'];
