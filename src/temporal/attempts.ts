import { AsyncLocalStorage } from 'node:async_hooks';
import { defaultGrpcRetryOptions, makeGrpcRetryInterceptor, type ConnectionOptions } from '@temporalio/client';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];

/** What has become of a call's attempts: Temporal's client repeats them by itself, and tells of the last one only. */
export interface Attempts {
  /** An earlier attempt, or this one, may have been taken though its answer was lost. */
  mayHaveHappened: boolean;
}

/** gRPC statuses of a request that the server has certainly not taken. */
const CERTAINLY_NOT_TAKEN = new Set([
  3 /* INVALID_ARGUMENT */, 5 /* NOT_FOUND */, 6 /* ALREADY_EXISTS */, 7 /* PERMISSION_DENIED */,
  8 /* RESOURCE_EXHAUSTED */, 9 /* FAILED_PRECONDITION */, 12 /* UNIMPLEMENTED */, 16 /* UNAUTHENTICATED */,
]);

/** Waits for the outcome of an update that was taken. */
const POLL = '/PollWorkflowExecutionUpdate';
const CHANGES = [
  '/UpdateWorkflowExecution',
  '/ExecuteMultiOperation',
  '/StartWorkflowExecution',
  '/SignalWorkflowExecution',
];

const current = new AsyncLocalStorage<Attempts>();

/** Runs `call`, whose attempts are noted in `attempts`, if its connection repeats them by {@link notingRetries}. */
export const noting = <T>(attempts: Attempts, call: () => Promise<T>): Promise<T> => current.run(attempts, call);

/** In place of the client's own retries: the same, but noted. */
export const notingRetries =
  (backOff: Parameters<typeof defaultGrpcRetryOptions>[0] = {}): Interceptor =>
  (options, nextCall) => {
    const attempts = current.getStore();
    const path = String(options.method_definition.path);
    const retry = defaultGrpcRetryOptions(backOff);
    return makeGrpcRetryInterceptor({
      ...retry,
      retryableDecider: (attempt, status) => {
        const unclear = CHANGES.some((change) => path.endsWith(change)) && !CERTAINLY_NOT_TAKEN.has(status.code);
        if (attempts !== undefined && (unclear || path.endsWith(POLL))) attempts.mayHaveHappened = true;
        return retry.retryableDecider(attempt, status);
      },
    })(options, nextCall);
  };
