import type { RequestHandler } from 'express';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { timeoutRequest } from './schemas.js';
import { timeoutMs } from './timeout-ms.js';

/**
 * `POST /sandboxes/{id}/timeout`: the deadline is now that far from now, earlier or later than before. With 0 it is answered
 * when the sandbox is killed or paused.
 */
export const timeout =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const wanted = timeoutMs(parse(timeoutRequest, request.body).timeout, deps.maxTimeoutMs);
    const { spec } = await findSandbox(deps, request, response);
    await deps.client.setTimeout(spec.id, { timeoutMs: wanted, mode: 'set' });
    response.status(204).end();
  };
