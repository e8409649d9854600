import type { z } from 'zod';
import { ApiError } from './errors.js';

/**
 * Reads a body (none counts as `{}`) or a query by its schema.
 *
 * @throws ApiError `InvalidRequest` that names every field that is wrong; values are not repeated, they may be secret
 */
export function parse<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join('.')}: ${message}` : message,
  );
  throw new ApiError('InvalidRequest', wrong.join('; '));
}
