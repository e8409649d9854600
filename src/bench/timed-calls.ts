import type { BenchService } from './bench-service.js';
import type { Trace } from './measurement.js';
import type { Timed } from './service-client.js';
import { medianIndex } from './statistics.js';

/** The same call, several times. */
export class TimedCalls {
  readonly #calls: Timed[] = [];

  add(call: Timed): void {
    this.#calls.push(call);
  }

  get seconds(): number[] {
    return this.#calls.map((call) => call.seconds);
  }

  /** Of the run that stands for all. */
  medianTrace(service: BenchService, operation: string): Promise<Trace> {
    return service.trace(operation, this.#calls[medianIndex(this.seconds)]!);
  }
}
