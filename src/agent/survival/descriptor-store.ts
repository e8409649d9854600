import { closeSync } from 'node:fs';
import { lastErrno, sendWithDescriptor } from '../libc.js';
import { constants } from 'node:os';

const FIRST_PASSED = 3;
const TRY_EVERY_MS = 50;

interface Message {
  text: string;
  kept?: { name: string; descriptor: number };
}

/**
 * Descriptors that outlive the agent: systemd keeps copies of them, and hands them to the agent that it starts next. While
 * it has them, nothing that the agent started gets a broken pipe or a hangup.
 */
export class DescriptorStore {
  #waiting: Message[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param socket of systemd's notifications; without it nothing is kept */
  constructor(private readonly socket: string | undefined) {}

  /** What the agent before this one left, by name. The variables go: they are not for what the agent starts. */
  static takePassed(env: NodeJS.ProcessEnv): Map<string, number> {
    const passed = new Map<string, number>();
    const mine = env['LISTEN_PID'] === String(process.pid);
    const names = mine ? (env['LISTEN_FDNAMES'] ?? '').split(':').slice(0, Number(env['LISTEN_FDS'] ?? 0)) : [];
    for (const [index, name] of names.entries()) {
      if (passed.has(name)) closeSync(FIRST_PASSED + index);
      else passed.set(name, FIRST_PASSED + index);
    }
    for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
    return passed;
  }

  /** The descriptor stays open here. */
  keep(name: string, descriptor: number): void {
    // FDPOLL: systemd would drop a pipe whose other end is closed, and what is still in it.
    this.#send({ text: `FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`, kept: { name, descriptor } });
  }

  forget(name: string): void {
    // Its number may be another descriptor's by the time when it would be sent.
    this.#waiting = this.#waiting.filter(({ kept }) => kept?.name !== name);
    this.#send({ text: `FDSTOREREMOVE=1\nFDNAME=${name}` });
  }

  #send(message: Message): void {
    if (this.socket === undefined) return;
    this.#waiting.push(message);
    if (this.#timer === undefined) this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const sent = sendWithDescriptor(this.socket!, first.text, first.kept?.descriptor);
      if (sent < 0 && lastErrno() === constants.errno.EAGAIN) break;
      if (sent < 0) console.error(`systemd does not take '${first.text}': errno ${lastErrno()}`);
      this.#waiting.shift();
    }
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#flush(), TRY_EVERY_MS).unref();
  }
}
