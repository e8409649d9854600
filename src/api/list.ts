import type { RequestHandler, Response } from 'express';
import { publicStates, type SandboxPage, type SandboxQuery } from '../gateway/sandbox-query.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';
import { nextToken, parseListQuery, toSandboxQuery } from './list-query.js';
import { presentListed } from './present.js';
import { catalogOf } from './template-catalog.js';
import { plainTemplateName } from './template-name.js';

/** `GET /v2/sandboxes`: paged, filtered. */
export const listV2 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const query = parseListQuery(request.query);
    const tenant = tenantOf(response);
    const ofTemplate = query.template === undefined ? {} : await templateQuery(deps, query.template, tenant);
    const page = await pageOfHosts(deps, { ...toSandboxQuery(query, tenant), ...ofTemplate }, response);
    const next = nextToken(page);
    if (next !== undefined) response.set('x-next-token', next);
    answer(page, response);
  };

/** `GET /sandboxes`: all running ones that match `metadata`, on one page. */
export const listV1 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { metadata } = parseListQuery({ metadata: request.query['metadata'] });
    const query = { tenant: tenantOf(response), states: [publicStates.enum.running], metadata: [...(metadata ?? [])] };
    answer(await pageOfHosts(deps, query, response), response);
  };

const answer = ({ sandboxes, totalRunning }: SandboxPage, response: Response): void =>
  void response.set('X-Total-Running', String(totalRunning)).json(sandboxes.map(presentListed));

/** By any name of the template, or by the key of the build that the sandbox has. */
async function templateQuery(deps: ApiDeps, wanted: string, tenant: string): Promise<SandboxQuery> {
  const name = plainTemplateName(wanted, tenant);
  if (name === undefined) return { ids: [] };
  const { found } = await deps.directory.reports();
  const template = catalogOf(found).find(({ names }) => names.includes(name));
  return { template: { key: name, id: template?.id ?? name } };
}

/** A list without a host that is down is marked as such; without any host at all it would be a lie. */
async function pageOfHosts(deps: ApiDeps, query: SandboxQuery, response: Response): Promise<SandboxPage> {
  const { found, missing, answered } = await deps.directory.list(query);
  if (answered === 0) {
    throw new ApiError('Unavailable', `no host answers at the moment (${missing.join(', ')}): nothing can be listed`);
  }
  if (missing.length > 0) response.set('X-Dormouse-Missing-Hosts', missing.join(','));
  return found;
}
