import type { RequestHandler } from 'express';
import { ANY_ORIGIN, isPreflight, PREFLIGHT_HEADERS } from '../relay/any-origin.js';

/** Before all else, the check of the key too: a preflight has no key, and a refusal that a page may not read tells it nothing. */
export const allowAnyOrigin: RequestHandler = (request, response, next) => {
  response.set(ANY_ORIGIN);
  if (isPreflight(request)) response.set(PREFLIGHT_HEADERS).status(204).end();
  else next();
};
