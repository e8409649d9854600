import type { RequestHandler } from 'express';
import { ApiError } from '../errors.js';
import { parse } from '../parse.js';
import type { OperatorDeps } from './routes.js';
import { keyChange, keysQuery, newKey } from './schemas.js';

/** `GET /operator/keys[?tenant=]` */
export const listKeys =
  ({ keys }: OperatorDeps): RequestHandler =>
  async (request, response) => {
    const { tenant } = parse(keysQuery, request.query);
    const all = await keys.list();
    response.json(tenant === undefined ? all : all.filter((key) => key.tenant === tenant));
  };

/** `POST /operator/keys`: 201 with the key, which is shown this once. */
export const mintKey =
  ({ keys, log }: OperatorDeps): RequestHandler =>
  async (request, response) => {
    const { tenant, label } = parse(newKey, request.body);
    const minted = await keys.mint(tenant, label);
    log.info({ key: minted.id, tenant }, 'the operator made an API key');
    response.status(201).json(minted);
  };

/** `PATCH /operator/keys/{id}` */
export const labelKey =
  ({ keys }: OperatorDeps): RequestHandler =>
  async (request, response) => {
    const id = String(request.params['id']);
    const { label } = parse(keyChange, request.body);
    response.json((await keys.label(id, label)) ?? noSuchKey());
  };

/** `DELETE /operator/keys/{id}`: 204; the key opens nothing from then on. */
export const revokeKey =
  ({ keys, log }: OperatorDeps): RequestHandler =>
  async (request, response) => {
    const { id, tenant } = (await keys.revoke(String(request.params['id']))) ?? noSuchKey();
    log.info({ key: id, tenant }, 'the operator revoked an API key');
    response.status(204).end();
  };

/** What was asked for may be a key itself, by mistake: it is not repeated. */
function noSuchKey(): never {
  throw new ApiError('NotFound', 'no API key has this id; GET /operator/keys shows all ids');
}
