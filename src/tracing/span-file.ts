import { createWriteStream, type WriteStream } from 'node:fs';
import { hrTimeToMicroseconds } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

/** A span as one line of JSON; times in microseconds since the epoch. */
export interface SpanLine {
  trace: string;
  span: string;
  parent: string | undefined;
  role: string;
  name: string;
  startUs: number;
  durationUs: number;
  attributes: Record<string, unknown>;
}

/** Appends spans to a file, which several processes may share: for the bench, and for people without a collector. */
export class SpanFile implements SpanExporter {
  readonly #out: WriteStream;

  constructor(
    file: string,
    private readonly role: string,
  ) {
    this.#out = createWriteStream(file, { flags: 'a', mode: 0o600 });
  }

  export(spans: ReadableSpan[], done: (result: { code: number }) => void): void {
    const lines = spans.map((span): SpanLine => {
      const { traceId, spanId } = span.spanContext();
      return {
        trace: traceId,
        span: spanId,
        parent: span.parentSpanContext?.spanId,
        role: this.role,
        name: span.name,
        startUs: hrTimeToMicroseconds(span.startTime),
        durationUs: hrTimeToMicroseconds(span.duration),
        attributes: { ...span.attributes },
      };
    });
    this.#out.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''), (error) =>
      done({ code: error ? 1 : 0 }),
    );
  }

  shutdown(): Promise<void> {
    return new Promise((resolve) => this.#out.end(resolve));
  }
}
