import type { RequestHandler } from 'express';
import type { RateName } from '../tenants/rates.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';

const TEXTS: Record<RateName, string> = {
  createsPerMinute: 'creates per minute',
  requestsPerSecond: 'requests per second',
};

/** @throws ApiError `TooManyRequests` that says when to come again */
export function takeRate({ rates }: Pick<ApiDeps, 'rates'>, tenant: string, rate: RateName): void {
  const waitMs = rates.take(tenant, rate);
  if (waitMs === 0) return;
  const seconds = Math.ceil(waitMs / 1_000);
  throw new ApiError(
    'TooManyRequests',
    `your limit of ${TEXTS[rate]} is reached. Nothing was done; try again in ${seconds} s.`,
    seconds,
  );
}

/** Bounds how many requests a tenant sends, and how many of them are answered at a time. Behind `authenticate`. */
export const limitRequests =
  (deps: Pick<ApiDeps, 'rates' | 'connections'>): RequestHandler =>
  (_request, response, next) => {
    const tenant = tenantOf(response);
    takeRate(deps, tenant, 'requestsPerSecond');
    if (!deps.connections.enter(tenant, 'owner')) {
      throw new ApiError(
        'TooManyRequests',
        'your limit of open connections (requests and WebSockets, of the api and of all sandboxes) is reached. ' +
          'Nothing was done; close some, or try again later.',
      );
    }
    response.once('close', () => deps.connections.leave(tenant, 'owner'));
    next();
  };
