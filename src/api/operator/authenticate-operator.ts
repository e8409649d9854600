import type { RequestHandler } from 'express';
import { ApiError } from '../errors.js';

const HOW =
  "send the operator's key, which is in the file operator.key of the state directory, in the header X-Operator-Key";

/** Lets only the operator through. Keys of tenants open nothing here. */
export const authenticateOperator =
  (key: { opens(presented: string): Promise<boolean> }): RequestHandler =>
  async (request, response, next) => {
    const presented = request.get('x-operator-key') ?? '';
    if (presented !== '' && (await key.opens(presented))) return next();
    response.set('WWW-Authenticate', 'ApiKey header="X-Operator-Key"');
    throw new ApiError('Unauthorized', `the operator's key is ${presented === '' ? 'missing' : 'not known'}: ${HOW}`);
  };
