const EVERY_MS = 20_000;

/** Says every now and then how long the work that goes on side by side will take yet: as long as the longest of it. */
export class TimeLeft {
  readonly #ends = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly say: (line: string) => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Replaces what was expected of the same work before. */
  expect(work: string, ms: number): void {
    const known = this.#ends.has(work);
    this.#ends.set(work, this.now() + ms);
    this.#timer ??= setInterval(() => this.#tell(), EVERY_MS).unref();
    if (!known) this.#tell();
  }

  over(work: string): void {
    this.#ends.delete(work);
    if (this.#ends.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tell(): void {
    this.say(`${[...this.#ends.keys()].join(', ')}: ${inWords(Math.max(...this.#ends.values()) - this.now())}`);
  }
}

/** Rounded up, as everyone does who has to wait. */
export function inWords(ms: number): string {
  if (ms <= 0) return 'takes longer than usual';
  const tens = Math.ceil(ms / 10_000) * 10;
  if (tens < 90) return `about ${tens} s left`;
  return `about ${Math.ceil(ms / 30_000) / 2} min left`;
}
