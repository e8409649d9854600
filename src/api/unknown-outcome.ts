import { ApiError, codeOf } from './errors.js';

/** Adds to an unknown outcome of a create which sandbox to look for: the caller has no other way to learn it. */
export async function naming<T>(id: string, outcome: Promise<T>): Promise<T> {
  try {
    return await outcome;
  } catch (error) {
    if (codeOf(error) !== 'OutcomeUnknown') throw error;
    throw new ApiError(
      'OutcomeUnknown',
      `sandbox ${id} may or may not come up: ${(error as Error).message}. Look with GET /sandboxes/${id}; DELETE ends it.`,
    );
  }
}
