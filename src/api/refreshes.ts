import type { RequestHandler } from 'express';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { refreshRequest } from './schemas.js';
import { timeoutMs } from './timeout-ms.js';

/** Contract 2.1: shorter ones count as this long. */
const LEAST_SECONDS = 15;

/** `POST /sandboxes/{id}/refreshes`: moves the deadline later, never earlier. */
export const refreshes =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const seconds = Math.max(LEAST_SECONDS, parse(refreshRequest, request.body).duration ?? 0);
    const wanted = timeoutMs(seconds, deps.maxTimeoutMs, 'duration');
    const { spec } = await findSandbox(deps, request, response);
    await deps.client.setTimeout(spec.id, { timeoutMs: wanted, mode: 'extend' });
    response.status(204).end();
  };
