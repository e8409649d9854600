import { context, propagation, SpanStatusCode, trace, type Attributes } from '@opentelemetry/api';

/**
 * Steps of an operation as OpenTelemetry spans. Without {@link startTracing} they cost next to nothing and go nowhere.
 * Attributes are ids, counts and sizes: never a name that a user gave, a token or a value.
 */
const tracer = trace.getTracer('dormouse');

export function span<T>(name: string, work: () => Promise<T>, attributes: Attributes = {}): Promise<T> {
  return tracer.startActiveSpan(name, { attributes }, async (active) => {
    try {
      return await work();
    } catch (error) {
      active.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'error' });
      throw error;
    } finally {
      active.end();
    }
  });
}

/** W3C `traceparent` of the present span; undefined without one. */
export function currentTrace(): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

/** Runs `work` as part of another process's trace. */
export const inTrace = <T>(traceparent: string | undefined, work: () => Promise<T>): Promise<T> =>
  traceparent === undefined ? work() : context.with(propagation.extract(context.active(), { traceparent }), work);
