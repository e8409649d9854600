import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { targetWithoutSignature } from '../keys/agent-access.js';
import type { Destination, Watch } from '../relay/destination.js';
import { endToEnd, isOurs, withoutOurs } from '../relay/headers.js';
import { refuse, type Refusal } from '../relay/refuse.js';
import { relayRequest } from '../relay/relay-request.js';
import { relayUpgrade } from '../relay/relay-upgrade.js';
import { frameScanner } from './connect-frames.js';
import type { GatewayDeps, GuestRoute } from './gateway-deps.js';
import { refuseAccess } from './refuse-access.js';
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
import { asksAfterwards, whoAsks } from './who-asks.js';
import { AGENT_PORT, asksHealth, forStrangers, isConnectStream } from './wire.js';
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
  const { activity } = deps;
  // From the look at the gate to the touch nothing may await: a pause closes the gate, then looks at the clock.
  const route = openRoute(deps, id);
  // A client that asks whether its sandbox lives takes only one answer for a no.
  const orGone = (refusal: Refusal): Refusal =>
    asksHealth(request.method, request.url, port) && isStopping(deps, id) ? notFound(id) : refusal;
  if ('status' in route) return refuse(out, orGone(route), request);
  const asker = whoAsks(request, port, route.token);
  if ('refused' in asker) return refuseAccess(out, request, asker.refused);
  const { whose, passive } = asker;
  const limit = whose === 'owner' ? deps.connectionLimit : forStrangers(deps.connectionLimit);
  const open = whose === 'owner' ? activity.openTo(id) : activity.strangersAt(id);
  if (open >= limit || activity.openTo(id) >= deps.connectionLimit) {
    return refuse(out, tooManyConnections(id, limit), request);
  }
  if (whose === 'owner' && !passive) activity.touch(id);

  const cut = new AbortController();
  const untrack = activity.track(id, () => cut.abort(new Error(`sandbox ${id} was stopped`)), whose);
  // What answers for the agent's port before the agent does takes every connection.
  let dialled = false;
  try {
    const to = destination(request, route, port);
    if (port !== AGENT_PORT) {
      to.connection = await dial(deps, route, port, out, cut.signal);
      // The machine may have begun to go to sleep meanwhile; a request that no clock has seen must not reach it.
      const now = openRoute(deps, id);
      if ('status' in now || out.destroyed) {
        to.connection.destroy();
        return 'status' in now ? refuse(out, now, request) : undefined;
      }
      dialled = true;
      activity.touch(id);
    }
    // A guest must not pass for the gateway before the proxy.
    const watch = { answerHeaders: withoutOurs, ...(passive ? {} : watchOf(deps, request, id, port)) };
    if (client instanceof ServerResponse) {
      if (request.headers.expect !== undefined) client.writeContinue();
      await relayRequest(request, client, to, cut.signal, watch);
    } else await relayUpgrade(request, client.socket, client.head, to, cut.signal, watch);
  } catch (error) {
    const now = openRoute(deps, id);
    // A machine that is being saved takes its connections away before anyone cuts them.
    if (cut.signal.aborted || deps.route(id)?.open === false) {
      const reached = dialled || port === AGENT_PORT || !('status' in now);
      return refuse(out, orGone(reached ? cutByPause(id) : now), request);
    }
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

/** The way to a guest that takes requests now, or why there is none. */
function openRoute(deps: GatewayDeps, id: string): GuestRoute | Refusal {
  const route = deps.route(id);
  if (route === undefined) return deps.index.get(id)?.status === 'paused' ? asleep(id) : notFound(id);
  return route.open && deps.activity.isGateOpen(id) ? route : changingState(id);
}

/** Whether the machine runs no more, or soon will not: a route that is closed though the gate is open is a save. */
function isStopping({ route, activity }: GatewayDeps, id: string): boolean {
  const now = route(id);
  return now === undefined || activity.isStopping(id) || (!now.open && activity.isGateOpen(id));
}

/** Longer than one unit of credit, or of a length that nobody told. */
const isLongUpload = ({ method, url, headers }: IncomingMessage): boolean =>
  method === 'POST' && /^\/files(\?|$)/.test(url ?? '') && !(Number(headers['content-length']) <= UPLOAD_CREDIT_BYTES);

function destination(request: IncomingMessage, route: GuestRoute, port: number): Destination {
  const to = { ...route.address, headers: endToEnd(request.rawHeaders, isOurs), path: request.url ?? '/' };
  if (port === AGENT_PORT) {
    const { method = 'GET', headers } = request;
    const unsigned = targetWithoutSignature({ method, target: to.path, headers });
    if (unsigned !== undefined) {
      to.path = unsigned;
      to.headers.push('X-Access-Token', route.token);
    }
  }
  return port === AGENT_PORT && isLongUpload(request) ? { ...to, creditBytes: UPLOAD_CREDIT_BYTES } : to;
}

/** Gives up when the sandbox is stopped or the client goes away. */
async function dial(
  deps: GatewayDeps,
  { address, token }: GuestRoute,
  port: number,
  out: Duplex | ServerResponse,
  cut: AbortSignal,
): Promise<Duplex> {
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Error('the client went away'));
  out.once('close', leave);
  try {
    return await deps.dial(address, token, port, within(DIAL_WITHIN_MS, cut, gone.signal));
  } finally {
    out.off('close', leave);
  }
}

function watchOf(deps: GatewayDeps, request: IncomingMessage, id: string, port: number): Watch {
  const touch = (): void => deps.activity.touch(id);
  return {
    onRequestBytes: touch,
    onAnswer: (answer) => {
      if (port !== AGENT_PORT || !isConnectStream(answer.headers)) {
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
          ? { through: new WholeFrames(lastFrame(deps, request, id), roomOf(deps.activity.held, id)) }
          : {}),
      };
    },
  };
}

const roomOf = (held: HeldBytes, id: string): Room => ({
  take: (bytes) => held.take(id, bytes),
  give: (bytes) => held.give(id, bytes),
});

/**
 * What a Connect stream ends with whose sandbox stops. Clients that ask `/health` after a connection that broke off do so for
 * no other end, and call an error a timeout: for them there is none (docs/clients.md, "How a stream ends").
 */
const lastFrame =
  (deps: GatewayDeps, request: IncomingMessage, id: string) =>
  (asked: boolean): ReturnType<typeof streamCut> | undefined => {
    const stops = isStopping(deps, id);
    return (asked || stops) && asksAfterwards(request) ? undefined : streamCut(stops);
  };
