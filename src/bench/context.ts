import { BenchService } from './bench-service.js';
import { FloorGuest } from './floor.js';
import { MachinelessService } from './machineless/machineless-service.js';
import type { Context } from './measurement.js';

/** Ports that a service of the bench has, at most. */
const PORTS = 10;

/** What is to be ended, the last one first; each is tried, whatever becomes of the others. */
export class Closers {
  #works: (() => Promise<void>)[] = [];

  add(work: () => Promise<void>): void {
    this.#works.push(work);
  }

  /** @throws the first error, once all were tried. */
  async close(): Promise<void> {
    const errors: unknown[] = [];
    for (let work = this.#works.pop(); work !== undefined; work = this.#works.pop()) {
      await work().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0) throw errors[0];
  }
}

export function newContext(options: {
  env: NodeJS.ProcessEnv;
  port: number;
  runs: number;
  scale: number;
  say: (line: string) => void;
  closers: Closers;
}): Context {
  const { env, runs, scale, say, closers } = options;
  const atEnd = (work: () => Promise<void>): void => closers.add(work);
  let { port } = options;
  const nextPort = (): number => {
    const first = port;
    port += PORTS;
    return first;
  };
  return {
    ...{ runs, scale, say, atEnd },
    startService: (settings = {}) => BenchService.start(env, nextPort(), settings, say, atEnd),
    startMachineless: (more = {}) => MachinelessService.start(env, nextPort(), more, say, atEnd),
    startFloor: async ({ config, template }, settings) => {
      const floor = new FloorGuest(config, template, settings);
      say('booting an equal guest on plain libvirt');
      atEnd(() => floor.remove());
      await floor.start();
      return floor;
    },
  };
}
