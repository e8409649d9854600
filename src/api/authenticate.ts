import type { RequestHandler, Response } from 'express';
import { ApiError } from './errors.js';

const HOW = 'send a key of this service in the header X-API-KEY; `make up` prints one';

/** Lets only requests with a known key through, and remembers whose it is. */
export const authenticate =
  (keys: { tenantOf(key: string): Promise<string | undefined> }): RequestHandler =>
  async (request, response, next) => {
    const key = request.get('x-api-key');
    if (key === undefined || key === '') throw new ApiError('Unauthorized', `the API key is missing: ${HOW}`);
    const tenant = await keys.tenantOf(key);
    if (tenant === undefined) throw new ApiError('Unauthorized', `the API key is not known: ${HOW}`);
    response.locals['tenant'] = tenant;
    next();
  };

/** Whose request this is; only behind `authenticate`. */
export function tenantOf(response: Response): string {
  const tenant: unknown = response.locals['tenant'];
  if (typeof tenant !== 'string') throw new Error('a route that needs a tenant is not behind authenticate');
  return tenant;
}
