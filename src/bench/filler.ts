import { readFile } from 'node:fs/promises';
import { runCommand, type AgentDoor } from './run-command.js';

/** In the guest. */
const DIRECTORY = '/home/user/bench';
const FILES = ['seeded-memory.js', 'filler.js'];
export const FILLER_PORT = 8_200;
/** A guest under emulation needs seconds to start Node. */
const LOOKS = 300;

/** A process in a guest that holds memory of known content; its checksum is remembered out here. */
export class Filler {
  #expected = '';

  private constructor(private readonly door: AgentDoor) {}

  /** Puts the process into the guest and starts it. @param door to the guest's agent */
  static async start(door: AgentDoor): Promise<Filler> {
    for (const name of FILES) {
      const code = await readFile(new URL(`./guest/${name}`, import.meta.url));
      const query = new URLSearchParams({ username: 'user', path: `${DIRECTORY}/${name}` });
      const response = await fetch(`${door.url}/files?${query}`, {
        method: 'POST',
        headers: { ...door.headers, 'content-type': 'application/octet-stream' },
        body: new Uint8Array(code),
      });
      if (!response.ok) throw new Error(`${name} could not be put into a guest: ${await response.text()}`);
    }
    await runCommand(
      door,
      `echo '{"type":"module"}' > ${DIRECTORY}/package.json; ` +
        `setsid node ${DIRECTORY}/filler.js ${FILLER_PORT} > ${DIRECTORY}/log 2>&1 < /dev/null & ` +
        `for look in $(seq ${LOOKS}); do curl -sf ${urlOf('ready')} && exit 0; sleep 0.1; done; cat ${DIRECTORY}/log; exit 1`,
    );
    return new Filler(door);
  }

  /** Fills memory anew, half with random bytes, half with text; every page is another than before. */
  async fill(mib: number, seed: number): Promise<void> {
    this.#expected = await this.#ask(`fill?mib=${mib}&seed=${seed}`);
  }

  /** Rewrites `mib` MiB of it, all over. */
  async change(mib: number, seed: number): Promise<void> {
    this.#expected = await this.#ask(`change?mib=${mib}&seed=${seed}`);
  }

  /** @throws Error when a single bit of the memory is another than it was. */
  async verify(): Promise<void> {
    const found = await this.#ask('checksum');
    if (found !== this.#expected) throw new Error(`a guest's memory is wrong: ${found}, not ${this.#expected}`);
  }

  async #ask(what: string): Promise<string> {
    return (await runCommand(this.door, `curl -sf '${urlOf(what)}'`)).output;
  }
}

const urlOf = (what: string): string => `http://127.0.0.1:${FILLER_PORT}/${what}`;
