import express, { type RequestHandler, type Router } from 'express';
import type { Logger } from 'pino';
import type { Admission } from '../../tenants/admission.js';
import type { TenantConnections } from '../../tenants/connections.js';
import type { TenantStore } from '../../tenants/tenant-store.js';
import { BODY_LIMIT_KIB, unknownRoute, wrongMethod } from '../errors.js';
import type { HostDirectory } from '../host-directory.js';
import type { KeyStore } from '../key-store.js';
import { authenticateOperator } from './authenticate-operator.js';
import { labelKey, listKeys, mintKey, revokeKey } from './keys.js';
import { changeTenant, getTenant, listTenants } from './tenants.js';

export interface OperatorDeps {
  operatorKey: { opens(presented: string): Promise<boolean> };
  keys: KeyStore;
  tenants: TenantStore;
  directory: Pick<HostDirectory, 'use'>;
  admission: Pick<Admission, 'claimsOf'>;
  connections: Pick<TenantConnections, 'countOf'>;
  log: Logger;
}

/** The operator's API: keys and limits of tenants. Below `/operator`, with a key of its own. */
export function operatorRoutes(deps: OperatorDeps): Router {
  const routes = express.Router();
  routes.use(authenticateOperator(deps.operatorKey));
  // The answer holds a new key: no cache may store it.
  routes.use((_request, response, next) => next(void response.set('Cache-Control', 'no-store')));
  routes.use(express.json({ type: () => true, limit: `${BODY_LIMIT_KIB}kb` }));
  const offered: readonly [path: string, Partial<Record<'get' | 'post' | 'patch' | 'delete', RequestHandler>>][] = [
    ['/keys', { get: listKeys(deps), post: mintKey(deps) }],
    ['/keys/:id', { patch: labelKey(deps), delete: revokeKey(deps) }],
    ['/tenants', { get: listTenants(deps) }],
    ['/tenants/:tenant', { get: getTenant(deps), patch: changeTenant(deps) }],
  ];
  for (const [path, methods] of offered) {
    for (const [method, handler] of Object.entries(methods)) routes[method as keyof typeof methods](path, handler);
    routes.all(path, wrongMethod(Object.keys(methods).map((method) => method.toUpperCase())));
  }
  routes.use(unknownRoute);
  return routes;
}
