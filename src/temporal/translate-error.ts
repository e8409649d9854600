import {
  ApplicationFailure,
  isGrpcServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { isErrorCode } from '../../workflows/errors.js';
import { FULL_RUN } from '../../workflows/messages.js';
import { DormouseError } from './dormouse-error.js';

const GRPC = { NOT_FOUND: 5, RESOURCE_EXHAUSTED: 8, FAILED_PRECONDITION: 9 } as const;

/**
 * What a caller is told of a failed call to Temporal. When in doubt: outcome unknown, never "nothing happened". Also where
 * there is no connection: the SDK repeats calls by itself, and what it says is of the last attempt only.
 *
 * @param mayHaveHappened an attempt before the last one may have been taken
 */
export function translateError(error: unknown, sandboxId: string, mayHaveHappened = false): DormouseError {
  if (error instanceof DormouseError) return error;
  if (error instanceof WorkflowUpdateFailedError) {
    const { cause } = error;
    const type = cause instanceof ApplicationFailure ? cause.type : undefined;
    const message = cause?.message ?? error.message;
    if (isErrorCode(type)) return new DormouseError(type, message, { cause: error }, true);
    if (type === 'AcceptedUpdateCompletedWorkflow') return notFound(sandboxId, error);
    return new DormouseError('InvalidRequest', message, { cause: error });
  }
  if (error instanceof WorkflowNotFoundError) return notFound(sandboxId, error);
  if (error instanceof WorkflowExecutionAlreadyStartedError) {
    return new DormouseError('OutcomeUnknown', `sandbox ${sandboxId} exists already`, { cause: error });
  }
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return outcomeUnknown(sandboxId, error);
  const grpc = grpcErrorOf(error);
  if (grpc === undefined) return new DormouseError('HostFailure', messageOf(error), { cause: error });
  if (grpc.code === GRPC.NOT_FOUND) return notFound(sandboxId, error);
  if (mayHaveHappened) return outcomeUnknown(sandboxId, error);
  if (grpc.code === GRPC.FAILED_PRECONDITION) {
    const message = `Temporal takes no request for sandbox ${sandboxId} at the moment; nothing was done. Try again shortly.`;
    return new DormouseError('Unavailable', message, { cause: error });
  }
  if (grpc.code === GRPC.RESOURCE_EXHAUSTED) {
    return new DormouseError('TooManyRequests', `too many requests at once for sandbox ${sandboxId}; try again`, {
      cause: error,
    });
  }
  return outcomeUnknown(sandboxId, error);
}

/** Whether an error of {@link translateError} says that a run of the workflow was over, and not what the workflow said. */
export function isOfEndedRun(error: unknown): boolean {
  if (!(error instanceof DormouseError) || error.code !== 'NotFound') return false;
  const { cause } = error;
  if (!(cause instanceof WorkflowUpdateFailedError)) return true;
  return cause.cause instanceof ApplicationFailure && cause.cause.type === 'AcceptedUpdateCompletedWorkflow';
}

/**
 * Whether an error of {@link translateError} says that the present run of the workflow takes no further update: Temporal
 * counts them, and the workflow looks how long its history is. It continues as new as soon as it can.
 */
export function isOfFullRun(error: unknown): boolean {
  if (!(error instanceof DormouseError) || error.code !== 'Unavailable') return false;
  const { cause } = error;
  if (!(cause instanceof WorkflowUpdateFailedError)) return grpcErrorOf(cause)?.code === GRPC.FAILED_PRECONDITION;
  return cause.cause instanceof ApplicationFailure && cause.cause.details?.[0] === FULL_RUN;
}

function grpcErrorOf(error: unknown): { code: number; details?: string; message: string } | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (isGrpcServiceError(at)) return at;
  return undefined;
}

const notFound = (id: string, cause: unknown): DormouseError =>
  new DormouseError('NotFound', `sandbox ${id} was not found`, { cause });

export const outcomeUnknown = (id: string, cause: unknown): DormouseError =>
  new DormouseError(
    'OutcomeUnknown',
    `the outcome for sandbox ${id} is not known yet; the work goes on, and the same request again joins it`,
    { cause },
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
