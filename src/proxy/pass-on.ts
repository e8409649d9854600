import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AGENT_PORT, GATEWAY_ASLEEP_HEADER, isConnectStream, type Asleep } from '../gateway/wire.js';
import { AnswerDeclined, type Destination, type Watch } from '../relay/destination.js';
import { forAnyOrigin } from '../relay/any-origin.js';
import { withoutOurs } from '../relay/headers.js';
import { refuse, type Refusal } from '../relay/refuse.js';
import { relayRequest } from '../relay/relay-request.js';
import { relayUpgrade } from '../relay/relay-upgrade.js';
import { resetAfterWritten } from '../relay/reset.js';
import { Seldom } from '../relay/seldom.js';
import type { Held } from './held.js';
import { hostDown, hostLost, stillAsleep, tooManyHeld, wakeFailed } from './refusals.js';

/** A machine that was just woken and sleeps again, or is said to: asked again after this. */
const AGAIN_MS = 250;

const seldom = new WeakMap<Logger, Seldom>();

/** What is said there is remembered for as long as the log itself. */
export function seldomIn(log: Logger): Seldom {
  const known = seldom.get(log) ?? new Seldom(log);
  seldom.set(log, known);
  return known;
}

export type ClientEnd = ServerResponse | { socket: Duplex; head: Buffer };

export const outOf = (client: ClientEnd): ServerResponse | Duplex =>
  client instanceof ServerResponse ? client : client.socket;

export interface Passage {
  id: string;
  port: number;
  /** Its host's gateway. */
  to: Destination;
  held: Held;
  /** How long a request may wait for a sleeping sandbox. */
  holdMs: number;
  /** Given when the request may wake the sandbox. Answers when it runs; rejects with a code of `workflows/errors.ts`. */
  wake?: ((asleep: Asleep) => Promise<void>) | undefined;
}

/** Passes a request to the gateway. One that may wake its sandbox is held until the sandbox runs, and passed on then. */
export async function passOn(
  passage: Passage,
  request: IncomingMessage,
  client: ClientEnd,
  log: Logger,
): Promise<void> {
  const asleep = await attempt(passage, request, client, log);
  if (asleep === undefined) return;
  const { id, port, held } = passage;
  // What wakes a sandbox at its agent's port has shown the token, or a signature.
  const whose = port === AGENT_PORT ? 'owner' : 'stranger';
  if (!held.enter(id, whose)) return refuse(outOf(client), tooManyHeld(id, held.limitFor(whose)), request);
  await holdAndPassOn(passage, asleep, request, client, log).finally(() => held.leave(id, whose));
}

async function holdAndPassOn(
  passage: Passage,
  first: Asleep,
  request: IncomingMessage,
  client: ClientEnd,
  log: Logger,
): Promise<void> {
  const out = outOf(client);
  const until = performance.now() + passage.holdMs;
  // What wakes a sandbox with a token has shown the right one. A signature may be anybody's.
  const toOwner = passage.port === AGENT_PORT && request.headers['x-access-token'] !== undefined;
  const over = new AbortController();
  const stop = (): void => over.abort();
  out.once('close', stop);
  try {
    let asleep: Asleep | undefined = first;
    for (let wakes = 0; asleep !== undefined; wakes += 1) {
      if (wakes > 0) await delay(AGAIN_MS, undefined, { signal: over.signal }).catch(() => undefined);
      const refusal = await hold(passage, asleep, until, over.signal, toOwner, log);
      if (out.destroyed) return;
      if (refusal !== undefined) return refuse(out, refusal, request);
      asleep = await attempt(passage, request, client, log);
    }
  } finally {
    out.off('close', stop);
  }
}

/** @returns how the sandbox sleeps, when the request was kept back to be sent again; else it is dealt with. */
async function attempt(
  { id, port, to, wake }: Passage,
  request: IncomingMessage,
  client: ClientEnd,
  log: Logger,
): Promise<Asleep | undefined> {
  const never = new AbortController().signal;
  const watch: Watch = {
    answerHeaders: (headers) => (port === AGENT_PORT ? forAnyOrigin(withoutOurs(headers)) : withoutOurs(headers)),
    onAnswer: ({ headers }) =>
      port === AGENT_PORT && isConnectStream(headers) ? { breakOff: resetAfterWritten } : undefined,
    ...(wake === undefined ? {} : { declines: (answer) => answer.headers[GATEWAY_ASLEEP_HEADER] !== undefined }),
  };
  try {
    if (client instanceof ServerResponse) await relayRequest(request, client, to, never, watch);
    else await relayUpgrade(request, client.socket, client.head, to, never, watch);
  } catch (error) {
    if (error instanceof AnswerDeclined) return error.headers[GATEWAY_ASLEEP_HEADER] as Asleep;
    const refusedAtOnce = (error as NodeJS.ErrnoException).syscall === 'connect';
    const gateway = `${to.host}:${to.port}`;
    seldomIn(log).warn(gateway, { sandbox: id, gateway }, error, 'a gateway did not answer');
    refuse(outOf(client), refusedAtOnce ? hostDown(id) : hostLost(id), request);
  }
  return undefined;
}

/** Waits until the sandbox runs. @returns why the request cannot be held any longer. */
async function hold(
  { id, wake }: Passage,
  asleep: Asleep,
  until: number,
  signal: AbortSignal,
  toOwner: boolean,
  log: Logger,
): Promise<Refusal | undefined> {
  const left = until - performance.now();
  if (left <= 0) return stillAsleep(id);
  const timer = new AbortController();
  const late = delay(left, stillAsleep(id), { signal: AbortSignal.any([signal, timer.signal]) });
  const gone = late.catch(() => undefined);
  const woken = wake!(asleep).then(
    () => undefined,
    (error: unknown) => {
      seldomIn(log).warn(id, { sandbox: id }, error, 'a sandbox could not be woken for a request');
      return wakeFailed(id, error, toOwner);
    },
  );
  return Promise.race([woken, gone]).finally(() => timer.abort());
}
