import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** How one part of a client's story went. */
export interface Told {
  part: string;
  seconds: number;
  error: string | null;
}

/** A story that is being told, by a program of its own: one line of JSON for each part, as soon as it is over. */
export class Story {
  readonly #told: Told[] = [];
  readonly #arrival = new Set<() => void>();
  #over: string | undefined;

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv) {
    const program = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const errors: string[] = [];
    program.stderr.on('data', (text: Buffer) => void errors.push(text.toString('utf8')));
    createInterface({ input: program.stdout }).on('line', (line) => {
      this.#told.push(JSON.parse(line) as Told);
      this.#wake();
    });
    void once(program, 'close').then(([code]) => {
      this.#over = `the program ended with ${code}\n${errors.join('')}`;
      this.#wake();
    });
  }

  /** Resolves once the part is over. @throws Error when the story ends without it. */
  async part(name: string): Promise<Told> {
    for (;;) {
      const found = this.#told.find((one) => one.part === name);
      if (found !== undefined) return found;
      if (this.#over !== undefined) throw new Error(`'${name}' was not told: ${this.#over}`);
      await new Promise<void>((resolve) => this.#arrival.add(resolve));
    }
  }

  /** @returns the names of all parts, once the program has ended. */
  async all(): Promise<string[]> {
    while (this.#over === undefined) await new Promise<void>((resolve) => this.#arrival.add(resolve));
    return this.#told.map((one) => one.part);
  }

  #wake(): void {
    for (const wake of this.#arrival) wake();
    this.#arrival.clear();
  }
}
