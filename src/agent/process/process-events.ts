import type { GroupEvent } from './programs-group.js';
import type { Running } from './running.js';

/** As many as are kept until the host asks; older ones are dropped, and counted. */
const MOST_KEPT = 1_000;

interface ProcessEventRecord {
  at: number;
  event: 'started' | 'ended' | GroupEvent;
  pid?: number;
  user?: string;
  exitCode?: number;
  /** How many programs ended, or threads did not start. */
  count?: number;
}

/** Comings and goings of processes for the sandbox's log: no commands, no paths, no output. */
export class ProcessEvents {
  #events: ProcessEventRecord[] = [];
  #dropped = 0;

  follow({ pid, output }: Running, user: string): void {
    this.#add({ at: Date.now(), event: 'started', pid, user });
    this.followEnd({ pid, output }, user);
  }

  /** Of a process whose start was told by an agent before this one. */
  followEnd({ pid, output }: Pick<Running, 'pid' | 'output'>, user: string): void {
    output.onEnd(({ exitCode }) => this.#add({ at: Date.now(), event: 'ended', pid, user, exitCode }));
  }

  /** What happened to all programs together. */
  note(event: GroupEvent, count: number): void {
    this.#add({ at: Date.now(), event, count });
  }

  /** Gives them away: the next call starts from nothing. */
  drain(): { events: ProcessEventRecord[]; dropped: number } {
    const drained = { events: this.#events, dropped: this.#dropped };
    this.#events = [];
    this.#dropped = 0;
    return drained;
  }

  #add(record: ProcessEventRecord): void {
    this.#events.push(record);
    if (this.#events.length <= MOST_KEPT) return;
    this.#events.shift();
    this.#dropped += 1;
  }
}
