import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import { TRACE_HEADER } from '../../workflows/names.js';
import { currentTrace, inTrace, span } from './span.js';

/** One trace from the HTTP request to the guest: the client sends it along, the workflow hands it on, the host takes it up. */
export const traceClient: WorkflowClientInterceptor = {
  startUpdate: (input, next) =>
    span('temporal update', () => next({ ...input, headers: traced(input.headers) }), { update: input.updateName }),
  startUpdateWithStart: (input, next) =>
    span(
      'temporal update with start',
      () =>
        next({
          ...input,
          workflowStartHeaders: traced(input.workflowStartHeaders),
          updateHeaders: traced(input.updateHeaders),
        }),
      { update: input.updateName },
    ),
};

export const traceActivities: ActivityInterceptorsFactory = (context) => ({
  inbound: {
    execute: (input, next) =>
      inTrace(traceOf(input.headers), () =>
        span(`activity ${context.info.activityType}`, () => next(input), { attempt: context.info.attempt }),
      ),
  },
});

function traced(headers: Headers): Headers {
  const trace = currentTrace();
  return trace === undefined ? headers : { ...headers, [TRACE_HEADER]: defaultPayloadConverter.toPayload(trace) };
}

function traceOf(headers: Headers): string | undefined {
  const header = headers[TRACE_HEADER];
  return header === undefined ? undefined : defaultPayloadConverter.fromPayload<string>(header);
}
