import { setImmediate as nextTurn } from 'node:timers/promises';

const LONGEST_MS = 5;
/** The clock is a device of the machine: to read it can take as long as to look at a file. */
const STEPS_A_LOOK = 8;

/** Long work in pieces, by calls that hold everything up: after each piece all others have their turn. */
export class Turn {
  #began = performance.now();
  #steps = 0;

  /** @param onBegin called as each further piece begins */
  constructor(
    private readonly signal: AbortSignal | undefined,
    private readonly onBegin: () => void = () => undefined,
  ) {}

  /** To be asked before each small step. */
  isOver(): boolean {
    return ++this.#steps % STEPS_A_LOOK === 0 && performance.now() - this.#began > LONGEST_MS;
  }

  /** @throws the signal's reason when the work is no longer wanted. */
  async next(): Promise<void> {
    await nextTurn();
    this.begin();
  }

  /** After something else was waited for. @throws as `next`. */
  begin(): void {
    this.signal?.throwIfAborted();
    this.onBegin();
    this.#began = performance.now();
  }
}
