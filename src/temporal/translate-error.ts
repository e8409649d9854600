import {
  ApplicationFailure,
  isGrpcServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { isErrorCode } from '../../workflows/errors.js';
import { DormouseError } from './dormouse-error.js';

const GRPC = { NOT_FOUND: 5, RESOURCE_EXHAUSTED: 8 } as const;

/**
 * What a caller is told of a failed call to Temporal. When in doubt: outcome unknown, never "nothing happened". Also where
 * there is no connection: the SDK repeats calls by itself, and what it says is of the last attempt only.
 */
export function translateError(error: unknown, sandboxId: string): DormouseError {
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
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return unknown(sandboxId, error);
  const grpc = grpcErrorOf(error);
  if (grpc === undefined) return new DormouseError('HostFailure', messageOf(error), { cause: error });
  if (grpc.code === GRPC.NOT_FOUND) return notFound(sandboxId, error);
  if (grpc.code === GRPC.RESOURCE_EXHAUSTED) {
    return new DormouseError('TooManyRequests', `too many requests at once for sandbox ${sandboxId}; try again`, {
      cause: error,
    });
  }
  return unknown(sandboxId, error);
}

/** Whether an error of {@link translateError} says that a run of the workflow was over, and not what the workflow said. */
export function isOfEndedRun(error: unknown): boolean {
  if (!(error instanceof DormouseError) || error.code !== 'NotFound') return false;
  const { cause } = error;
  if (!(cause instanceof WorkflowUpdateFailedError)) return true;
  return cause.cause instanceof ApplicationFailure && cause.cause.type === 'AcceptedUpdateCompletedWorkflow';
}

function grpcErrorOf(error: unknown): { code: number; details?: string; message: string } | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (isGrpcServiceError(at)) return at;
  return undefined;
}

const notFound = (id: string, cause: unknown): DormouseError =>
  new DormouseError('NotFound', `sandbox ${id} was not found`, { cause });

const unknown = (id: string, cause: unknown): DormouseError =>
  new DormouseError(
    'OutcomeUnknown',
    `the outcome for sandbox ${id} is not known yet; the work goes on, and the same request again joins it`,
    { cause },
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
