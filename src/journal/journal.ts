import { z } from 'zod';
import type { LogEntry, MetricSample } from '../gateway/wire.js';
import type { StatePaths } from '../host/state-paths.js';
import { LineFile } from './line-file.js';
import { metricSample } from './sample.js';
import { thinLog, thinSamples } from './thin.js';

/** Some 3,000 samples: half a day at full density, then coarser. */
const MOST_SAMPLE_BYTES = 512 * 1024;
const MOST_LOG_BYTES = 256 * 1024;

const logEntry = z.object({
  at: z.number(),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  message: z.string(),
  fields: z.record(z.string(), z.string()),
}) satisfies z.ZodType<LogEntry>;

/** What is kept of each sandbox for its owner to look at, in the sandbox's own directory, for as long as it exists. */
export class Journal {
  /** Of a sandbox that was asked for and has none: undefined. */
  readonly #latest = new Map<string, MetricSample | undefined>();

  constructor(private readonly paths: StatePaths) {}

  addSample(id: string, sample: MetricSample): void {
    this.#samples(id).append([sample]);
    this.#latest.set(id, sample);
  }

  samples(id: string): Promise<MetricSample[]> {
    return this.#samples(id).readInTurns();
  }

  latest(id: string): MetricSample | undefined {
    if (!this.#latest.has(id)) this.#latest.set(id, this.#samples(id).last());
    return this.#latest.get(id);
  }

  addEntries(id: string, entries: readonly LogEntry[]): void {
    this.#log(id).append(entries);
  }

  /**
   * Something that happened to the sandbox. A step that runs twice happened once.
   *
   * @param generation of the step
   */
  addEvent(id: string, generation: number, event: string, change: Partial<LogEntry> = {}): void {
    const log = this.#log(id);
    const step = { source: 'host', event, generation: String(generation) };
    const isSame = ({ fields }: LogEntry): boolean =>
      fields['source'] === 'host' && fields['event'] === event && fields['generation'] === step.generation;
    if (log.read().some(isSame)) return;
    const fields = { ...step, ...change.fields };
    log.append([{ at: Date.now(), level: 'info', message: `sandbox ${event}`, ...change, fields }]);
  }

  /** In order of time; no two of one millisecond, so that a reader can go on from where it was. */
  async entries(id: string): Promise<LogEntry[]> {
    let last = -1;
    const entries = await this.#log(id).readInTurns();
    return entries
      .sort((a, b) => a.at - b.at)
      .map((entry) => {
        last = Math.max(entry.at, last + 1);
        return { ...entry, at: last };
      });
  }

  /** The sandbox is no more. */
  forget(id: string): void {
    this.#latest.delete(id);
  }

  #samples(id: string): LineFile<MetricSample> {
    const { metrics } = this.paths.sandbox(id);
    return new LineFile(metrics, { schema: metricSample, mostBytes: MOST_SAMPLE_BYTES, thin: thinSamples });
  }

  #log(id: string): LineFile<LogEntry> {
    const { log } = this.paths.sandbox(id);
    return new LineFile(log, { schema: logEntry, mostBytes: MOST_LOG_BYTES, thin: thinLog });
  }
}
