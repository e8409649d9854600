import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { SpanFile } from './span-file.js';

export interface TracingSettings {
  /** Base URL of an OTLP/HTTP collector, such as `http://127.0.0.1:4318`. */
  otlpEndpoint: string | undefined;
  /** File to which every role appends its spans. */
  file: string | undefined;
}

/** Makes the spans of this process go somewhere, if anything was configured. @returns ends and flushes it. */
export function startTracing(role: string, { otlpEndpoint, file }: TracingSettings): () => Promise<void> {
  if (otlpEndpoint === undefined && file === undefined) return () => Promise.resolve();
  const spanProcessors = [
    ...(otlpEndpoint === undefined
      ? []
      : [
          new BatchSpanProcessor({
            exporter: new OTLPTraceExporter({ url: `${otlpEndpoint.replace(/\/$/, '')}/v1/traces` }),
          }),
        ]),
    ...(file === undefined ? [] : [new SimpleSpanProcessor({ exporter: new SpanFile(file, role) })]),
  ];
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': `dormouse-${role}` }),
    spanProcessors,
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return () => provider.shutdown();
}
