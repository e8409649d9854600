import http from 'node:http';
import type { Duplex, Transform } from 'node:stream';

/** Where a request is passed on to. */
export interface Destination {
  host: string;
  port: number;
  /** Flat list of names and values, end to end ones only; `Host` is among them. */
  headers: string[];
  path: string;
  /** An open connection to use instead of a new one. */
  connection?: Duplex;
  /** Keeps connections for later requests; without it every request has its own. */
  agent?: http.Agent;
  /** Requests share a kept connection only when they have the same one. */
  shareWith?: string;
  /** The body stays with the client until the destination has said `100 Continue`. */
  holdBody?: boolean;
  /**
   * The body goes in units of so many bytes, each when the destination asks for it (`102 Processing`, as often as it wants
   * a unit). One that does not know of this says `100 Continue` instead, and gets it as it comes.
   */
  creditBytes?: number;
}

/** Watches what passes; may not hold it up. */
export interface Watch {
  onRequestBytes?(bytes: Buffer): void;
  /** Called when the answer begins; returns the watcher of its body, if there is one. */
  onAnswer?(answer: http.IncomingMessage): AnswerWatch | undefined;
  /** Last change of the headers of the answer. */
  answerHeaders?(rawHeaders: string[]): string[];
  /** Keeps an answer from the client: the relay rejects with `AnswerDeclined` instead. */
  declines?(answer: http.IncomingMessage): boolean;
}

/** Nothing was sent to the client. With `holdBody`, nothing of its body was read either. */
export class AnswerDeclined extends Error {
  override readonly name = 'AnswerDeclined';

  constructor(readonly headers: http.IncomingHttpHeaders) {
    super('the answer was declined');
  }
}

export interface AnswerWatch {
  onBytes?(bytes: Buffer): void;
  /** What the answer goes through on its way to the client. */
  through?: Cuttable;
  /** Ends an answer that cannot be ended as a whole one; absent: its connection is closed. */
  breakOff?(response: http.ServerResponse): void;
}

/** A stream that can still be ended so that its reader understands, when what feeds it is gone. */
export interface Cuttable extends Transform {
  /**
   * @param asked cut by the signal, else because the destination went away
   * @returns false when the answer can only break off where it is
   */
  cut(asked: boolean): boolean;
  /** After `cut`: what was passed on is all that comes, and no whole answer. */
  readonly brokenOff: boolean;
}

export function openRequest(method: string, to: Destination, headers: string[]): http.ClientRequest {
  const { connection } = to;
  const outgoing = http.request({
    method,
    path: to.path,
    headers,
    ...(connection !== undefined
      ? { createConnection: () => connection as never }
      : { host: to.host, port: to.port, agent: to.agent ?? false, shareWith: to.shareWith }),
  });
  // A body that is not as long as its head says would go on into the next request.
  Object.assign(outgoing, { strictContentLength: true });
  // As in `boundHeads`: every header of the answer is seen.
  outgoing.maxHeadersCount = 0;
  return outgoing;
}

/** Keeps connections apart by `Destination.shareWith`. */
export class PartitionedAgent extends http.Agent {
  override getName(options: Parameters<http.Agent['getName']>[0] & { shareWith?: string }): string {
    return `${super.getName(options)}:${options.shareWith ?? ''}`;
  }
}

/** Lets an answer go that is not passed on. What happens to it from now on concerns its client no more. */
export function decline(outgoing: http.ClientRequest, answer: http.IncomingMessage): void {
  outgoing.removeAllListeners('error').on('error', () => undefined);
  answer.on('error', () => undefined);
  // The connection of a request that was sent whole can carry another; one whose body was kept back would wait for it.
  if (outgoing.writableEnded) answer.resume();
  else outgoing.destroy();
}
