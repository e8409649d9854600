import { fork, type ChildProcess } from 'node:child_process';
import { withNormalOomScore } from '../oom-score.js';
import { fromWire, type Reply } from './wire.js';

const START_MS = 20_000;
/** Without a word from it. A call that goes on says so. */
const ANSWER_MS = 8_000;

export class DoesNotAnswerError extends Error {
  override readonly name = 'DoesNotAnswerError';
  readonly code = 'ETIMEDOUT';
  constructor(what: string) {
    super(`'${what}' does not answer: its file system, or the device, took longer than ${ANSWER_MS / 1000} s`);
  }
}

/**
 * Another process of this program, for calls on files that may wait for ever. It does one thing at a time; when it does
 * not answer it is killed, and given up: a process inside a call on a file system that hangs may not even die.
 */
export class SideProcess {
  readonly #child: ChildProcess;
  #waiting: ((reply: Reply | undefined) => void) | undefined;
  #started = false;
  #dead = false;
  #exited = false;
  #gaveUp = false;
  #last: Promise<unknown> = Promise.resolve();
  onEvent: (event: never) => void = () => undefined;

  constructor(onExit: () => void) {
    this.#child = withNormalOomScore(() =>
      fork(process.argv[1]!, ['--side-process'], { serialization: 'advanced', detached: true }),
    );
    this.#child.on('message', (reply: Reply) => {
      this.#started = true;
      if (reply.kind === 'event') this.onEvent(reply.event as never);
      else this.#waiting?.(reply);
    });
    const gone = (): void => {
      this.#dead = true;
      this.#waiting?.(undefined);
    };
    this.#child.on('error', gone);
    this.#child.once('exit', () => {
      this.#exited = true;
      gone();
      onExit();
    });
  }

  get alive(): boolean {
    return !this.#dead;
  }

  /** Killed because it did not answer, and not even dead: inside a call that nothing ends. */
  get stuck(): boolean {
    return this.#gaveUp && !this.#exited;
  }

  /** @param about path that an error names. @throws DoesNotAnswerError, or what was thrown there. */
  ask(name: string, args: unknown[], about: string): Promise<unknown> {
    const answer = this.#last.then(() => this.#ask(name, args, about));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #ask(name: string, args: unknown[], about: string): Promise<unknown> {
    if (this.#dead) throw new DoesNotAnswerError(about);
    this.#child.send({ name, args }, () => undefined);
    for (;;) {
      const reply = await this.#next(this.#started ? ANSWER_MS : START_MS);
      if (reply === undefined) {
        this.#gaveUp = true;
        this.kill();
        throw new DoesNotAnswerError(about);
      }
      if (reply.kind === 'value') return reply.value;
      if (reply.kind === 'error') throw fromWire(reply.error);
    }
  }

  kill(): void {
    this.#dead = true;
    try {
      // With what it has started.
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }

  #next(limitMs: number): Promise<Reply | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#waiting?.(undefined), limitMs);
      this.#waiting = (reply) => {
        this.#waiting = undefined;
        clearTimeout(timer);
        resolve(reply);
      };
    });
  }
}
