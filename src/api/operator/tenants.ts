import type { RequestHandler } from 'express';
import { amountsOf } from '../../tenants/amounts.js';
import { parse } from '../parse.js';
import type { OperatorDeps } from './routes.js';
import { tenantChange, tenantName } from './schemas.js';

/** `GET /operator/tenants`: those that have a key or limits of their own. */
export const listTenants =
  ({ keys, tenants }: OperatorDeps): RequestHandler =>
  async (_request, response) => {
    const all = await keys.list();
    const names = new Set([...all.map(({ tenant }) => tenant), ...tenants.withOwnLimits()]);
    response.json(
      [...names].sort().map((tenant) => ({
        ...{ tenant, keys: all.filter((key) => key.tenant === tenant).length },
        ...{ limits: tenants.limitsOf(tenant), ownLimits: tenants.ownLimitsOf(tenant) },
      })),
    );
  };

/** `GET /operator/tenants/{tenant}`: its limits, and what it uses of them. */
export const getTenant =
  (deps: OperatorDeps): RequestHandler =>
  async (request, response) => {
    response.json(await presentTenant(deps, parse(tenantName, request.params['tenant'])));
  };

/** `PATCH /operator/tenants/{tenant}`: limits count at once here, and within a second at other api processes. */
export const changeTenant =
  (deps: OperatorDeps): RequestHandler =>
  async (request, response) => {
    const tenant = parse(tenantName, request.params['tenant']);
    const { limits } = parse(tenantChange, request.body);
    await deps.tenants.change(tenant, limits);
    deps.log.info({ tenant, limits }, 'the operator changed the limits of a tenant');
    response.json(await presentTenant(deps, tenant));
  };

async function presentTenant({ tenants, directory, admission, connections }: OperatorDeps, tenant: string) {
  const { found, missing } = await directory.use(tenant);
  return {
    tenant,
    limits: tenants.limitsOf(tenant),
    ownLimits: tenants.ownLimitsOf(tenant),
    used: { ...amountsOf(found, admission.claimsOf(tenant)), connections: connections.countOf(tenant) },
    ...(missing.length > 0 ? { missingHosts: missing } : {}),
  };
}
