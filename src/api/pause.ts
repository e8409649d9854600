import type { RequestHandler } from 'express';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { pauseRequest } from './schemas.js';

/** `POST /sandboxes/{id}/pause`: 204 when the sandbox is durably saved, 409 when it was paused already. */
export const pause =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    parse(pauseRequest, request.body);
    const { spec, generation } = await findSandbox(deps, request, response);
    const { outcome } = deps.join.run(`pause ${spec.id}`, () =>
      deps.updateIds.run(spec.id, 'pause', generation, (updateId) => deps.client.pause(spec.id, { updateId })),
    );
    await outcome;
    response.status(204).end();
  };
