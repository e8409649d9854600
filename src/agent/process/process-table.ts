import { Code, ConnectError } from '@connectrpc/connect';
import type { ProcessConfig, ProcessSelector } from '../../gen/process/process_pb.js';
import type { Running } from './running.js';

/** How long an ended process can still be connected to, for its end. */
const REMEMBERED_MS = 10_000;

export interface Entry {
  running: Running;
  config: ProcessConfig;
  tag: string | undefined;
}

/** The processes that were started through the agent. */
export class ProcessTable {
  #live = new Map<number, Entry>();
  #ended = new Map<number, Entry>();

  add(entry: Entry): void {
    const { pid, output } = entry.running;
    this.#live.set(pid, entry);
    output.onEnd(() => {
      this.#live.delete(pid);
      this.#ended.set(pid, entry);
      setTimeout(() => {
        if (this.#ended.get(pid) === entry) this.#ended.delete(pid);
      }, REMEMBERED_MS).unref();
    });
  }

  list(): Entry[] {
    return [...this.#live.values()];
  }

  /** @throws ConnectError not_found. */
  live(selector: ProcessSelector | undefined): Entry {
    return found(selector, this.#live);
  }

  /** Also one that ended a moment ago. */
  liveOrEnded(selector: ProcessSelector | undefined): Entry {
    return found(selector, new Map([...this.#ended, ...this.#live]));
  }
}

function found(selector: ProcessSelector | undefined, entries: Map<number, Entry>): Entry {
  const wanted = selector?.selector;
  if (wanted?.case === undefined) throw new ConnectError('no process is selected', Code.InvalidArgument);
  const entry =
    wanted.case === 'pid'
      ? entries.get(wanted.value)
      : [...entries.values()].findLast((candidate) => candidate.tag === wanted.value);
  if (entry === undefined)
    throw new ConnectError(`process with ${wanted.case} ${wanted.value} not found`, Code.NotFound);
  return entry;
}
