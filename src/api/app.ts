import express, { type Express, type RequestHandler } from 'express';
import { allowAnyOrigin } from './allow-any-origin.js';
import { authenticate } from './authenticate.js';
import { connect } from './connect.js';
import { create } from './create.js';
import type { ApiDeps } from './deps.js';
import { BODY_LIMIT_KIB, errorHandler, unknownRoute, wrongMethod } from './errors.js';
import { get } from './get.js';
import { kill } from './kill.js';
import { listV1, listV2 } from './list.js';
import { logsV1, logsV2 } from './logs.js';
import { metrics, metricsOfMany } from './metrics.js';
import { refuseNotOffered } from './not-offered.js';
import { operatorRoutes, type OperatorDeps } from './operator/routes.js';
import { pause } from './pause.js';
import { refreshes } from './refreshes.js';
import { resume } from './resume.js';
import { getTemplate, getTemplateAlias, listTemplatesV1, listTemplatesV2 } from './templates.js';
import { rotateTokens } from './rotate-tokens.js';
import { limitRequests } from './tenant-rates.js';
import { timeout } from './timeout.js';
import { traceRequests } from './trace-requests.js';

type Method = 'get' | 'post' | 'delete';

/**
 * The control plane: every route of the contract that is offered. Never listens by itself.
 *
 * @param operator absent: without the operator's routes
 */
export function createApp(deps: ApiDeps, operator?: OperatorDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');

  // Its key is the operator's, whom no page of a stranger may ask through: before any origin is let in.
  if (operator !== undefined) app.use('/operator', operatorRoutes(operator));
  app.use(allowAnyOrigin);
  app.get('/health', (_request, response) => void response.json({ status: 'ok' }));

  const routes = express.Router();
  routes.use(traceRequests);
  routes.use(authenticate(deps.keys));
  routes.use(limitRequests(deps));
  // Whatever the content type says or does not say: one client sends a pause without any (contract 2.1).
  routes.use(express.json({ type: () => true, limit: `${BODY_LIMIT_KIB}kb` }));
  const offered: readonly [Method, string, RequestHandler][] = [
    ['post', '/sandboxes', create(deps, 'v1')],
    ['post', '/v2/sandboxes', create(deps, 'v2')],
    ['get', '/sandboxes', listV1(deps)],
    ['get', '/v2/sandboxes', listV2(deps)],
    ['get', '/sandboxes/metrics', metricsOfMany(deps)],
    ['get', '/sandboxes/:id', get(deps)],
    ['delete', '/sandboxes/:id', kill(deps)],
    ['post', '/sandboxes/:id/connect', connect(deps, 'v1')],
    ['post', '/v2/sandboxes/:id/connect', connect(deps, 'v2')],
    ['post', '/sandboxes/:id/resume', resume(deps)],
    ['post', '/sandboxes/:id/pause', pause(deps)],
    ['post', '/sandboxes/:id/timeout', timeout(deps)],
    ['post', '/sandboxes/:id/refreshes', refreshes(deps)],
    ['post', '/sandboxes/:id/tokens/rotate', rotateTokens(deps)],
    ['get', '/sandboxes/:id/metrics', metrics(deps)],
    ['get', '/sandboxes/:id/logs', logsV1(deps)],
    ['get', '/v2/sandboxes/:id/logs', logsV2(deps)],
    ['get', '/templates', listTemplatesV1(deps)],
    ['get', '/v2/templates', listTemplatesV2(deps)],
    ['get', '/templates/aliases/:alias', getTemplateAlias(deps)],
    ['get', '/templates/:id', getTemplate(deps)],
  ];
  for (const [method, path, handler] of offered) routes[method](path, handler);
  refuseNotOffered(routes);
  for (const path of new Set(offered.map(([, path]) => path))) {
    routes.all(path, wrongMethod(offered.flatMap(([method, at]) => (at === path ? [method.toUpperCase()] : []))));
  }
  app.use(routes);

  app.use(unknownRoute);
  app.use(errorHandler(deps.log));
  return app;
}
