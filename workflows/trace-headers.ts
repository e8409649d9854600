import type { Headers, WorkflowInterceptorsFactory } from '@temporalio/workflow';
import { TRACE_HEADER } from './names.js';

/**
 * Hands the trace of a request on to the activity that it causes: the next one that is scheduled. What a timer causes
 * belongs to no request.
 */
export const interceptors: WorkflowInterceptorsFactory = () => {
  let trace: Headers[string] | undefined;
  const remember = ({ headers }: { headers: Headers }): void => {
    trace = headers[TRACE_HEADER] ?? trace;
  };
  return {
    inbound: [
      {
        execute: (input, next) => (remember(input), next(input)),
        handleUpdate: (input, next) => (remember(input), next(input)),
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => {
          if (trace === undefined) return next(input);
          const headers = { ...input.headers, [TRACE_HEADER]: trace };
          trace = undefined;
          return next({ ...input, headers });
        },
      },
    ],
  };
};
