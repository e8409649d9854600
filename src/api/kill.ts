import type { RequestHandler } from 'express';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';

/** `DELETE /sandboxes/{id}`: 204 when nothing of it is left. */
export const kill =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { spec, generation } = await findSandbox(deps, request, response, { evenIfUnlisted: true });
    const { outcome } = deps.join.run(`kill ${spec.id}`, () =>
      deps.updateIds.run(spec.id, 'kill', generation, (updateId) => deps.client.kill(spec.id, { updateId })),
    );
    await outcome;
    deps.admission.ended(spec.tenant, spec.id);
    response.status(204).end();
  };
