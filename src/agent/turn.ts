import { setImmediate as nextTurn } from 'node:timers/promises';

const LONGEST_MS = 5;

/** Long work in pieces, by calls that hold everything up: after each piece all others have their turn. */
export class Turn {
  #began = performance.now();

  /** @param onBegin called as each further piece begins */
  constructor(
    private readonly signal: AbortSignal | undefined,
    private readonly onBegin: () => void = () => undefined,
  ) {}

  get isOver(): boolean {
    return performance.now() - this.#began > LONGEST_MS;
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
