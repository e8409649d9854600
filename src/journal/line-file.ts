import { appendFileSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import type { z } from 'zod';

/**
 * A bounded file of JSON lines inside a sandbox's directory; it goes with it.
 *
 * Synchronous on purpose: between the caller's look at the sandbox and the write nothing else can run, so no file
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
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  /** A line that a crash has torn is passed over. */
  read(): T[] {
    let text = '';
    try {
      text = readFileSync(this.file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return text.split('\n').flatMap((line) => {
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

const toLines = (items: readonly object[]): string => items.map((item) => `${JSON.stringify(item)}\n`).join('');

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
