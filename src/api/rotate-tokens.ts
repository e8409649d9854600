import type { RequestHandler } from 'express';
import { wholeView } from '../../workflows/view.js';
import { newTokenNonce } from '../keys/access-token.js';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { presentSandbox } from './present.js';
import { rotateRequest } from './schemas.js';

/**
 * `POST /sandboxes/{id}/tokens/rotate`, this service's own: the sandbox has new tokens, and none that was handed out
 * before opens anything. Who asks at the same time gets the same ones.
 */
export const rotateTokens =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    parse(rotateRequest, request.body);
    const { spec } = await findSandbox(deps, request, response);
    const { outcome } = deps.join.run(`rotate ${spec.id}`, () =>
      deps.client.rotateTokens(spec.id, { tokenNonce: newTokenNonce() }),
    );
    const change = await outcome.finally(() => deps.directory.forget(spec.id));
    response.json(presentSandbox(deps, wholeView(spec, change)));
  };
