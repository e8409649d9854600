import type { RequestHandler } from 'express';
import { admitted, claimOf } from './admitted.js';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { pauseRequest } from './schemas.js';

/**
 * `POST /sandboxes/{id}/pause`: 204 when the sandbox is durably saved (or, with `memory: false`, shut down and its disk
 * kept), 409 when it was paused already.
 */
export const pause =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const memory = parse(pauseRequest, request.body).memory !== false;
    const verb = memory ? 'pause' : 'shut-down';
    const { spec, generation } = await findSandbox(deps, request, response);
    const claim = claimOf('pause', spec, spec.onTimeout === 'pause');
    const { outcome } = deps.join.run(`${verb} ${spec.id}`, () =>
      admitted(deps.admission, spec.tenant, claim, () =>
        deps.updateIds.run(spec.id, verb, generation, (updateId) => deps.client.pause(spec.id, { updateId, memory })),
      ),
    );
    await outcome;
    response.status(204).end();
  };
