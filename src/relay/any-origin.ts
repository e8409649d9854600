import type { IncomingMessage } from 'node:http';
import { withoutHeaders } from './headers.js';

/**
 * Pages of any origin may call the api and the agents: what opens them is a key in a header, which a browser never adds by
 * itself. No answer allows credentials, so that no cookie ever opens anything.
 */
export const ANY_ORIGIN = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': '*',
};

/** A browser's preflight carries none of the headers that tell who asks, and for what. */
export const isPreflight = (request: IncomingMessage): boolean =>
  request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;

export const PREFLIGHT_HEADERS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  // The star does not stand for `Authorization`.
  'access-control-allow-headers': '*, Authorization',
  'access-control-max-age': '7200',
};

/** The headers of an answer of the agent, open to any origin: what the guest itself says of origins or cookies does not count. */
export const forAnyOrigin = (rawHeaders: readonly string[]): string[] => [
  ...withoutHeaders(rawHeaders, (name) => name.startsWith('access-control-') || name === 'set-cookie'),
  ...Object.entries(ANY_ORIGIN).flat(),
];
