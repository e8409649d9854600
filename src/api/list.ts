import type { RequestHandler, Response } from 'express';
import type { SandboxView } from '../../workflows/view.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';
import { page, parseListQuery, type TemplateFilter } from './list-query.js';
import { presentListed } from './present.js';
import { catalogOf } from './template-catalog.js';
import { plainTemplateName } from './template-name.js';

/** `GET /v2/sandboxes`: paged, filtered. */
export const listV2 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const query = parseListQuery(request.query);
    const isOfTemplate = await templateFilter(deps, query.template, response);
    const { views, nextToken, totalRunning } = page(await viewsOf(deps, response), query, isOfTemplate);
    response.set('X-Total-Running', String(totalRunning));
    if (nextToken !== undefined) response.set('x-next-token', nextToken);
    response.json(views.map(presentListed));
  };

/** `GET /sandboxes`: all running ones that match `metadata`, on one page. */
export const listV1 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { metadata } = parseListQuery({ metadata: request.query['metadata'] });
    const query = { ...parseListQuery({ state: 'running' }), metadata, limit: Infinity };
    const { views, totalRunning } = page(await viewsOf(deps, response), query);
    response.set('X-Total-Running', String(totalRunning)).json(views.map(presentListed));
  };

/** By any name of the template, or by the key of the build that the sandbox has. */
async function templateFilter(deps: ApiDeps, wanted: string | undefined, response: Response): Promise<TemplateFilter> {
  if (wanted === undefined) return () => true;
  const name = plainTemplateName(wanted, tenantOf(response));
  if (name === undefined) return () => false;
  const { found } = await deps.directory.reports();
  const template = catalogOf(found).find(({ names }) => names.includes(name));
  return ({ spec }) => spec.templateKey === name || spec.templateId === (template?.id ?? name);
}

/** A list without a host that is down is marked as such; without any host at all it would be a lie. */
async function viewsOf(deps: ApiDeps, response: Response): Promise<SandboxView[]> {
  const { found, missing, answered } = await deps.directory.list(tenantOf(response));
  if (answered === 0) {
    throw new ApiError('Unavailable', `no host answers at the moment (${missing.join(', ')}): nothing can be listed`);
  }
  if (missing.length > 0) response.set('X-Dormouse-Missing-Hosts', missing.join(','));
  return found;
}
