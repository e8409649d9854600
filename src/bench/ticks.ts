import { setTimeout as delay } from 'node:timers/promises';
import { FILLER_PORT } from './filler.js';
import type { AgentDoor } from './run-command.js';

/** Ticks before the pause begins, so that the stream flows. */
const SEEN_FIRST = 50;
const SEEN_WITHIN_MS = 20_000;

/** What a guest's ticker sends every 10 ms, as it arrives out here. */
export class Ticks {
  /** Milliseconds since the epoch. */
  readonly #arrivals: number[] = [];
  #ended: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();

  /** @param door to the port of a guest with a {@link Filler} */
  static async listen(door: AgentDoor): Promise<Ticks> {
    const ticks = new Ticks();
    const response = await fetch(`${door.url}/ticks`, { headers: door.headers, signal: ticks.#stop.signal });
    if (!response.ok || response.body === null) throw new Error(`port ${FILLER_PORT} of a guest: ${response.status}`);
    ticks.#ended = ticks.#read(response.body);
    const end = Date.now() + SEEN_WITHIN_MS;
    while (ticks.#arrivals.length < SEEN_FIRST) {
      if (Date.now() > end) throw new Error("a guest's ticks do not arrive");
      await delay(10);
    }
    return ticks;
  }

  /** The last tick that arrived before `moment`, both in milliseconds since the epoch. */
  lastBefore(moment: number): number {
    const last = this.#arrivals.findLast((arrival) => arrival <= moment);
    if (last === undefined) throw new Error('no tick arrived in time');
    return last;
  }

  /** Longest time between two ticks before `moment`, in milliseconds: how well the ticker ticks. */
  longestGapBefore(moment: number): number {
    const before = this.#arrivals.filter((arrival) => arrival <= moment);
    return Math.max(...before.slice(1).map((arrival, index) => arrival - before[index]!));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** Ends when the guest is paused, which cuts the stream, or when nobody listens any more. */
  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const _ of body) this.#arrivals.push(Date.now());
    } catch {
      // The stream was cut.
    }
  }
}
