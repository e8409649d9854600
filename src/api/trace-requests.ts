import type { RequestHandler } from 'express';
import { inTrace, span } from '../tracing/span.js';

/** A span for each request, part of the caller's trace where it sends one. Named by method and last part of the route. */
export const traceRequests: RequestHandler = (request, response, next) => {
  const verb = request.path.split('/').at(-1) ?? '';
  const named = /^[a-z]+$/.test(verb) ? verb : 'sandbox';
  void inTrace(request.get('traceparent'), () =>
    span(`${request.method} ${named}`, () => {
      next();
      return new Promise<void>((resolve) => response.once('close', resolve));
    }),
  );
};
