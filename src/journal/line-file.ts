import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { z } from 'zod';

/** The last line is looked for in so much of the end. */
const TAIL_BYTES = 4 * 1024;
/** Parsed before others get their turn: some tenths of a millisecond. */
const LINES_AT_ONCE = 100;
/** Whoever asks for whole files gets one after the other. */
const oneFile = pLimit(1);

/**
 * A bounded file of JSON lines inside a sandbox's directory; it goes with it.
 *
 * Writing is synchronous on purpose: between the caller's look at the sandbox and the write nothing else can run, so no file
 * appears in a directory that is being removed. Not fsynced: a crash of ours loses nothing, one of the host the last
 * seconds.
 */
export class LineFile<T extends object> {
  constructor(
    readonly file: string,
    private readonly options: {
      schema: z.ZodType<T>;
      mostBytes: number;
      /** Called when the file has outgrown `mostBytes`. */
      thin: (items: readonly T[]) => T[];
    },
  ) {}

  /** Without the directory, which goes when the sandbox does, nothing is written. */
  append(items: readonly T[]): void {
    if (items.length === 0) return;
    try {
      appendFileSync(this.file, toLines(items), { mode: 0o600 });
      if (statSync(this.file).size > this.options.mostBytes) this.#shrink();
    } catch (error) {
      ifAbsent(error, undefined);
    }
  }

  /** A line that a crash has torn is passed over. */
  read(): T[] {
    try {
      return this.#parse(readFileSync(this.file, 'utf8').split('\n'));
    } catch (error) {
      return ifAbsent(error, []);
    }
  }

  /** As {@link read}, without holding anybody else up: for whoever asks from outside, as often as they like. */
  readInTurns(): Promise<T[]> {
    return oneFile(async () => {
      const text = await readFile(this.file, 'utf8').catch((error: unknown) => ifAbsent(error, ''));
      const lines = text.split('\n');
      const items: T[] = [];
      for (let at = 0; at < lines.length; at += LINES_AT_ONCE) {
        if (at > 0) await nextTurn();
        items.push(...this.#parse(lines.slice(at, at + LINES_AT_ONCE)));
      }
      return items;
    });
  }

  /** The last item, without a look at what is before it. */
  last(): T | undefined {
    let file: number;
    try {
      file = openSync(this.file, 'r');
    } catch (error) {
      return ifAbsent(error, undefined);
    }
    try {
      const { size } = fstatSync(file);
      const tail = Buffer.alloc(Math.min(TAIL_BYTES, size));
      const bytes = readSync(file, tail, 0, tail.length, size - tail.length);
      return this.#parse(tail.toString('utf8', 0, bytes).split('\n')).at(-1);
    } finally {
      closeSync(file);
    }
  }

  #parse(lines: readonly string[]): T[] {
    return lines.flatMap((line) => {
      const parsed = this.options.schema.safeParse(parseJson(line));
      return parsed.success ? [parsed.data] : [];
    });
  }

  #shrink(): void {
    const draft = `${this.file}.tmp`;
    writeFileSync(draft, toLines(this.options.thin(this.read())), { mode: 0o600 });
    renameSync(draft, this.file);
  }
}

function ifAbsent<T>(error: unknown, nothing: T): T {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  return nothing;
}

const toLines = (items: readonly object[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join('');

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
