import express, { type Express } from 'express';
import { authenticate } from './authenticate.js';
import { connect } from './connect.js';
import { create } from './create.js';
import type { ApiDeps } from './deps.js';
import { BODY_LIMIT_KIB, errorHandler, unknownRoute } from './errors.js';
import { get } from './get.js';
import { kill } from './kill.js';
import { listV1, listV2 } from './list.js';
import { logsV1, logsV2 } from './logs.js';
import { metrics, metricsOfMany } from './metrics.js';
import { pause } from './pause.js';
import { refreshes } from './refreshes.js';
import { resume } from './resume.js';
import { getTemplate, getTemplateAlias, listTemplatesV1, listTemplatesV2 } from './templates.js';
import { timeout } from './timeout.js';
import { traceRequests } from './trace-requests.js';

/** The control plane: every route of the contract that is offered. Never listens by itself. */
export function createApp(deps: ApiDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');

  app.get('/health', (_request, response) => void response.json({ status: 'ok' }));

  const routes = express.Router();
  routes.use(traceRequests);
  routes.use(authenticate(deps.keys));
  // Whatever the content type says or does not say: one client sends a pause without any (contract 2.1).
  routes.use(express.json({ type: () => true, limit: `${BODY_LIMIT_KIB}kb` }));
  routes.post('/sandboxes', create(deps, 'v1'));
  routes.post('/v2/sandboxes', create(deps, 'v2'));
  routes.get('/sandboxes', listV1(deps));
  routes.get('/v2/sandboxes', listV2(deps));
  routes.get('/sandboxes/metrics', metricsOfMany(deps));
  routes.get('/sandboxes/:id', get(deps));
  routes.delete('/sandboxes/:id', kill(deps));
  routes.post('/sandboxes/:id/connect', connect(deps, 'v1'));
  routes.post('/v2/sandboxes/:id/connect', connect(deps, 'v2'));
  routes.post('/sandboxes/:id/resume', resume(deps));
  routes.post('/sandboxes/:id/pause', pause(deps));
  routes.post('/sandboxes/:id/timeout', timeout(deps));
  routes.post('/sandboxes/:id/refreshes', refreshes(deps));
  routes.get('/sandboxes/:id/metrics', metrics(deps));
  routes.get('/sandboxes/:id/logs', logsV1(deps));
  routes.get('/v2/sandboxes/:id/logs', logsV2(deps));
  routes.get('/templates', listTemplatesV1(deps));
  routes.get('/v2/templates', listTemplatesV2(deps));
  routes.get('/templates/aliases/:alias', getTemplateAlias(deps));
  routes.get('/templates/:id', getTemplate(deps));
  app.use(routes);

  app.use(unknownRoute);
  app.use(errorHandler(deps.log));
  return app;
}
