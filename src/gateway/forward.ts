import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Destination, Watch } from '../relay/destination.js';
import { endToEnd, isOurs, withoutOurs } from '../relay/headers.js';
import { refuse } from '../relay/refuse.js';
import { relayRequest } from '../relay/relay-request.js';
import { relayUpgrade } from '../relay/relay-upgrade.js';
import { frameScanner } from './connect-frames.js';
import type { GatewayDeps, GuestRoute } from './gateway-deps.js';
import {
  asleep,
  changingState,
  cutByPause,
  noAnswer,
  notFound,
  portClosed,
  streamCut,
  tooManyConnections,
} from './refusals.js';
import type { HeldBytes } from './held-bytes.js';
import { WholeFrames, type Room } from './whole-frames.js';
import { AGENT_PORT, isPassive } from './wire.js';
import { within } from '../within.js';

const DIAL_WITHIN_MS = 15_000;
/** The guest's kernel holds several of these for a reader that takes none (recipe, `90-connections.conf`). */
const UPLOAD_CREDIT_BYTES = 65_536;

/** The client's end: a response, or the bare connection of an upgrade with the bytes already read from it. */
export type ClientEnd = ServerResponse | { socket: Duplex; head: Buffer };

/** Passes a request on to a port of a guest, or says why it cannot. */
export async function forward(
  deps: GatewayDeps,
  request: IncomingMessage,
  client: ClientEnd,
  id: string,
  port: number,
): Promise<void> {
  const out = client instanceof ServerResponse ? client : client.socket;
  const route = deps.route(id);
  if (route === undefined) {
    return refuse(out, deps.index.get(id)?.status === 'paused' ? asleep(id) : notFound(id), request);
  }
  // From the look at the gate to the touch nothing may await: a pause closes the gate, then looks at the clock.
  if (!route.open || !deps.activity.isGateOpen(id)) return refuse(out, changingState(id), request);
  if (deps.activity.openTo(id) >= deps.connectionLimit) {
    return refuse(out, tooManyConnections(id, deps.connectionLimit), request);
  }
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const passive = port === AGENT_PORT && isPassive(request.method ?? 'GET', path);
  if (!passive) deps.activity.touch(id);

  const cut = new AbortController();
  const untrack = deps.activity.track(id, () => cut.abort(new Error(`sandbox ${id} was stopped`)));
  let dialled = false;
  try {
    const to = await destination(deps, request, route, port, cut.signal);
    // What answers for the agent's port before the agent does takes every connection.
    dialled = port !== AGENT_PORT;
    // A guest must not pass for the gateway before the proxy.
    const watch = { answerHeaders: withoutOurs, ...(passive ? {} : watchOf(deps, id, port)) };
    if (client instanceof ServerResponse) {
      if (request.headers.expect !== undefined) client.writeContinue();
      await relayRequest(request, client, to, cut.signal, watch);
    } else await relayUpgrade(request, client.socket, client.head, to, cut.signal, watch);
  } catch (error) {
    // A machine that is being saved takes its connections away before anyone cuts them.
    if (cut.signal.aborted || deps.route(id)?.open === false) return refuse(out, cutByPause(id), request);
    deps.log.debug({ sandbox: id, port, err: error }, 'a port of the guest did not answer');
    refuse(
      out,
      deps.route(id) === undefined ? notFound(id) : dialled ? noAnswer(id, port) : portClosed(id, port),
      request,
    );
  } finally {
    untrack();
  }
}

/** Longer than one unit of credit, or of a length that nobody told. */
const isLongUpload = ({ method, url, headers }: IncomingMessage): boolean =>
  method === 'POST' && /^\/files(\?|$)/.test(url ?? '') && !(Number(headers['content-length']) <= UPLOAD_CREDIT_BYTES);

async function destination(
  deps: GatewayDeps,
  request: IncomingMessage,
  route: GuestRoute,
  port: number,
  cut: AbortSignal,
): Promise<Destination> {
  const headers = endToEnd(request.rawHeaders, isOurs);
  const to = { ...route.address, headers, path: request.url ?? '/' };
  if (port === AGENT_PORT) return isLongUpload(request) ? { ...to, creditBytes: UPLOAD_CREDIT_BYTES } : to;
  const signal = within(DIAL_WITHIN_MS, cut);
  return { ...to, connection: await deps.dial(route.address, route.token, port, signal) };
}

function watchOf(deps: GatewayDeps, id: string, port: number): Watch {
  const touch = (): void => deps.activity.touch(id);
  return {
    onRequestBytes: touch,
    onAnswer: (answer) => {
      if (port !== AGENT_PORT || !isConnectStream(answer)) {
        touch();
        return { onBytes: touch };
      }
      const bringsMore = frameScanner();
      return {
        onBytes: (bytes) => {
          if (bringsMore(bytes)) touch();
        },
        // Nothing can be added to an answer whose length was told.
        ...(answer.headers['content-length'] === undefined
          ? { through: new WholeFrames(streamCut, roomOf(deps.activity.held, id)) }
          : {}),
      };
    },
  };
}

const roomOf = (held: HeldBytes, id: string): Room => ({
  take: (bytes) => held.take(id, bytes),
  give: (bytes) => held.give(id, bytes),
});

const isConnectStream = (answer: IncomingMessage): boolean =>
  answer.headers['content-type']?.startsWith('application/connect+json') === true;
