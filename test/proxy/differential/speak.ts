import { connect } from 'node:net';
import type { Case } from './generate.js';
import { readMessage } from './http-text.js';

/** Nothing takes as long before servers on this machine. */
const HUNG_MS = 10_000;
/** A client whose request may be one that is never answered says after this that there is no more. */
const HALF_AFTER_MS = 100;

export interface Heard {
  text: string;
  /** Answers that came whole; those that only tell to go on are not counted. */
  answers: number;
  hung: boolean;
}

/** Writes what a client writes, and reads until everything is answered or the connection is closed. */
export function speak(port: number, { pieces, requests, end }: Case, hungMs = HUNG_MS): Promise<Heard> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const heard: Heard = { text: '', answers: 0, hung: false };
    let half: NodeJS.Timeout | undefined;
    const over = (hung: boolean): void => {
      clearTimeout(half);
      clearTimeout(late);
      socket.destroy();
      resolve({ ...heard, hung });
    };
    const late = setTimeout(() => over(true), hungMs);
    const mayEnd = (): void => {
      clearTimeout(half);
      if (end === 'half') half = setTimeout(() => socket.end(), HALF_AFTER_MS);
    };
    socket.on('error', () => undefined).once('close', () => over(false));
    socket.on('data', (bytes) => {
      heard.text += bytes.toString('latin1');
      heard.answers = answersIn(
        heard.text,
        requests.map(({ method }) => method),
      );
      if (heard.answers >= requests.length) over(false);
      else mayEnd();
    });
    socket.once('connect', () => void write());
    const write = async (): Promise<void> => {
      for (const piece of pieces) {
        if (!socket.writable) return;
        socket.write(piece, 'latin1');
        await new Promise((done) => setImmediate(done));
      }
      if (end === 'gone') over(false);
      else mayEnd();
    };
  });
}

function answersIn(text: string, methods: string[]): number {
  let count = 0;
  for (let left = text; ;) {
    const isHead = /^HTTP\/1\.1 (1|204|304)/.test(left) || methods[count] === 'HEAD';
    const answer = readMessage(left, isHead);
    if (answer === undefined || !answer.complete) return count;
    if (answer.start.startsWith('HTTP/1.1 101 ') || !answer.start.startsWith('HTTP/1.1 1')) count += 1;
    left = answer.rest;
  }
}
