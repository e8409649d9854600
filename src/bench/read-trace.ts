import { readFile } from 'node:fs/promises';
import type { SpanLine } from '../tracing/span-file.js';
import type { Trace } from './measurement.js';
import type { Timed } from './service-client.js';

/** The spans of a call that every role has written so far. */
export async function readTrace(file: string, operation: string, { seconds, trace }: Timed): Promise<Trace> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  const spans = lines.filter((line) => line.includes(trace)).map((line) => JSON.parse(line) as SpanLine);
  return { operation, seconds, spans: spans.filter((span) => span.trace === trace) };
}
