import type { RequestHandler, Response } from 'express';
import { z } from 'zod';
import type { TemplateUses } from '../gateway/wire.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';
import { pageSize, pageToken } from './schemas.js';
import { parse } from './parse.js';
import { presentTemplate, presentTemplateWithBuilds } from './present-template.js';
import { catalogOf, findTemplate, type CatalogTemplate } from './template-catalog.js';
import { plainTemplateName, templateNotFound } from './template-name.js';

const pageQuery = z.object({ limit: pageSize, nextToken: pageToken.optional() });

/** `GET /templates`: all on one page. */
export const listTemplatesV1 =
  (deps: ApiDeps): RequestHandler =>
  async (_request, response) => {
    const { catalog, uses } = await known(deps, response);
    response.json(catalog.map((template) => presentTemplate(template, uses)));
  };

/** `GET /v2/templates`: paged. */
export const listTemplatesV2 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const query = parse(pageQuery, request.query);
    const { catalog, uses } = await known(deps, response);
    const shown = cut(catalog, ({ id }) => id, query, response);
    response.json(shown.map((template) => presentTemplate(template, uses)));
  };

/** `GET /templates/{id}`: by id, name or key, with its builds, paged. */
export const getTemplate =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const query = parse(pageQuery, request.query);
    const { template, uses } = await find(deps, String(request.params['id']), response);
    const builds = cut(template.builds, ({ templateKey }) => templateKey, query, response);
    response.json(presentTemplateWithBuilds(template, builds, uses));
  };

/** `GET /templates/aliases/{alias}`: whether there is one of that name. */
export const getTemplateAlias =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { template } = await find(deps, String(request.params['alias']), response);
    response.json({ templateID: template.id, public: true });
  };

interface Known {
  catalog: CatalogTemplate[];
  /** By the caller's sandboxes. */
  uses: TemplateUses['uses'];
}

async function known(deps: ApiDeps, response: Response): Promise<Known> {
  const [reports, uses] = await Promise.all([deps.directory.reports(), deps.directory.uses(tenantOf(response))]);
  if (reports.answered === 0) {
    const hosts = reports.missing.join(', ');
    throw new ApiError('Unavailable', `no host answers at the moment (${hosts}): their templates cannot be told`);
  }
  const missing = new Set([...reports.missing, ...uses.missing]);
  if (missing.size > 0) response.set('X-Dormouse-Missing-Hosts', [...missing].join(','));
  return { catalog: catalogOf(reports.found), uses: uses.found };
}

async function find(
  deps: ApiDeps,
  text: string,
  response: Response,
): Promise<{ template: CatalogTemplate; uses: Known['uses'] }> {
  const { catalog, uses } = await known(deps, response);
  const name = plainTemplateName(text, tenantOf(response));
  const template = name === undefined ? undefined : findTemplate(catalog, name);
  if (template === undefined) throw templateNotFound(text);
  return { template, uses };
}

/** The page after the item that the token names. */
function cut<T>(
  items: readonly T[],
  nameOf: (item: T) => string,
  query: { limit: number; nextToken?: string | undefined },
  response: Response,
): T[] {
  const last = query.nextToken === undefined ? undefined : Buffer.from(query.nextToken, 'base64url').toString('utf8');
  const from = last === undefined ? 0 : items.findIndex((item) => nameOf(item) === last) + 1;
  if (last !== undefined && from === 0) {
    throw new ApiError('InvalidRequest', 'nextToken: not one that this service has given; start again without it');
  }
  const shown = items.slice(from, from + query.limit);
  const end = shown.at(-1);
  if (end !== undefined && from + shown.length < items.length) {
    response.set('x-next-token', Buffer.from(nameOf(end)).toString('base64url'));
  }
  return shown;
}
