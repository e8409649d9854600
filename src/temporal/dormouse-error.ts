import type { ErrorCode } from '../../workflows/errors.js';

/** An error with a code of the table. */
export class DormouseError extends Error {
  override readonly name = 'DormouseError';

  /** @param isAnswer the workflow itself said so, and Temporal keeps it as the answer to the update of that name */
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
    readonly isAnswer = false,
  ) {
    super(message, options);
  }
}
