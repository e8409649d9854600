import pLimit from 'p-limit';
import { AgentRefusedError, drainEvents, readMetrics, type GuestAddress } from '../guest/client.js';
import type { Logger } from '../log.js';
import type { Journal } from './journal.js';
import { processEntries } from './process-event.js';
import { sampleOf } from './sample.js';

const EVERY_MS = 15_000;
const ANSWER_WITHIN_MS = 5_000;
/** Less than an api waits: what is not there by then is not in the answer. */
const ASKED_WITHIN_MS = 3_000;
const FRESH_FOR_MS = 1_000;
const AT_ONCE = 4;

/**
 * Asks the agent of every running guest for its metrics and its processes' comings and goings, directly at its address:
 * no traffic that the gateway could take for activity.
 */
export class GuestWatch {
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #limit = pLimit(AT_ONCE);
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly options: {
      journal: Journal;
      running: () => string[];
      /** Undefined: it does not run, or is being worked on. */
      agentOf: (id: string) => { address: GuestAddress; token: string } | undefined;
      /** The agent has answered, whatever it said. */
      onAnswer?: (id: string) => void;
      /** The agent does not know its own token any more: the guest has rebooted. */
      onForgotten: (id: string) => void;
      log: Logger;
    },
  ) {
    this.#timer = setInterval(() => {
      // Guests that do not answer must not pile up: the round before has to be through.
      if (this.#limit.pendingCount > 0) return;
      for (const id of options.running()) void this.#limit(() => this.#look(id));
    }, EVERY_MS);
  }

  /** Adds a sample of now, if the guest answers soon; what is kept is up to date then. */
  async freshen(id: string): Promise<void> {
    const latest = this.options.journal.latest(id);
    if (latest !== undefined && Date.now() - latest.at < FRESH_FOR_MS) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ASKED_WITHIN_MS)));
    await Promise.race([this.#look(id), late]).finally(() => clearTimeout(timer));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#limit.clearQueue();
  }

  #look(id: string): Promise<void> {
    const known = this.#underWay.get(id);
    if (known !== undefined) return known;
    const looking = this.#ask(id)
      .catch((error: unknown) => {
        this.options.log.debug({ sandbox: id, err: error }, 'a guest tells nothing of itself');
        if (error instanceof AgentRefusedError) this.options.onAnswer?.(id);
        if (error instanceof AgentRefusedError && error.status === 401) this.options.onForgotten(id);
      })
      .finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, looking);
    return looking;
  }

  async #ask(id: string): Promise<void> {
    const { journal, agentOf } = this.options;
    const agent = agentOf(id);
    if (agent === undefined) return;
    const said = await readMetrics(agent.address, agent.token, AbortSignal.timeout(ANSWER_WITHIN_MS));
    this.options.onAnswer?.(id);
    const sample = sampleOf(said, Date.now());
    // Between this look and the write nothing runs: a sandbox that is being removed gets no file any more.
    if (sample !== undefined && agentOf(id) !== undefined) journal.addSample(id, sample);
    const events = await drainEvents(agent.address, agent.token, AbortSignal.timeout(ANSWER_WITHIN_MS));
    if (agentOf(id) !== undefined) journal.addEntries(id, processEntries(events, Date.now()));
  }
}
