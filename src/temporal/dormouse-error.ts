import type { ErrorCode } from '../../workflows/errors.js';

/** An error with a code of the table. */
export class DormouseError extends Error {
  override readonly name = 'DormouseError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
