import type { RequestHandler } from 'express';
import type { ApiDeps } from './deps.js';
import { findSandbox, notFound } from './find-sandbox.js';
import { publicState } from '../gateway/sandbox-query.js';
import { presentDetail } from './present.js';

/** `GET /sandboxes/{id}`. */
export const get =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const view = await findSandbox(deps, request, response);
    if (publicState(view) === undefined) throw notFound(view.spec.id);
    response.json(presentDetail(deps, view));
  };
