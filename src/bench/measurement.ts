import type { SpanLine } from '../tracing/span-file.js';
import type { BenchService, ServiceOptions } from './bench-service.js';
import type { FloorGuest, FloorOptions } from './floor.js';
import type { MachinelessService } from './machineless/machineless-service.js';
import type { Plot } from './plot.js';
import type { Row } from './statistics.js';

/** One thing that the bench measures. A file each in `measurements/`, and a line in `registry.ts`. */
export interface Measurement {
  /** As in `--only`. */
  name: string;
  /** What is done, for the results page. */
  about: string;
  /** Names of the rows that it gives. */
  rows: string[];
  /** Runs are made in one go; ours and what they are compared with take turns. */
  run(context: Context): Promise<Outcome>;
}

/** What a measurement works with. All that is started through it is ended after the measurement, however it ends. */
export interface Context {
  /** How many runs were asked for; a measurement that does fewer says so in its rows. */
  runs: number;
  /** How many sandboxes the measurement of scale makes. */
  scale: number;
  say(line: string): void;
  /** A service of the measurement's own: empty state directory, own ports, traces on. */
  startService(options?: ServiceOptions): Promise<BenchService>;
  /** The same with machines that are not there. */
  startMachineless(env?: NodeJS.ProcessEnv): Promise<MachinelessService>;
  /** An equal guest on plain libvirt, booted. */
  startFloor(service: BenchService, options?: FloorOptions): Promise<FloorGuest>;
  /** Ends what a measurement started itself; the last one first. */
  atEnd(work: () => Promise<void>): void;
}

export interface Outcome {
  rows: Row[];
  traces?: Trace[];
  plots?: Plot[];
  /** Paragraphs or tables in Markdown, shown below the measurement's rows. */
  notes?: string[];
}

/** One operation, looked into. */
export interface Trace {
  operation: string;
  /** As the client saw it. */
  seconds: number;
  spans: SpanLine[];
}
