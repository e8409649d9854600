import type { Logger } from 'pino';

const EVERY_MS = 60_000;
const MOST_REMEMBERED = 10_000;

/**
 * Warnings that visitors can cause as often as they like: each subject has one line a minute, which tells how many were left
 * out since the last, and an error is its message without a stack.
 */
export class Seldom {
  readonly #said = new Map<string, { at: number; leftOut: number }>();

  /** @param now a clock in ms that never goes back */
  constructor(
    private readonly log: Pick<Logger, 'warn'>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** @param subject what the line is about; together with the text it is one kind of line */
  warn(subject: string, fields: object, error: unknown, text: string): void {
    const kind = `${text} ${subject}`;
    const before = this.#said.get(kind);
    if (before !== undefined && this.now() - before.at < EVERY_MS) return void (before.leftOut += 1);
    if (this.#said.size >= MOST_REMEMBERED) this.#said.clear();
    this.#said.set(kind, { at: this.now(), leftOut: 0 });
    const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error) };
    const leftOut = before?.leftOut ?? 0;
    this.log.warn({ ...fields, code, why: message, ...(leftOut > 0 ? { leftOut } : {}) }, text);
  }
}
