import { IncomingMessage } from 'node:http';

/** What the parser found: the client asks for another protocol. Set by Node, in the constructor for the first time. */
const ASKED = Symbol('asked for an upgrade');

/**
 * A request that only a WebSocket takes out of HTTP. Node hands every request with `Upgrade` to the `upgrade` listeners as a
 * bare connection, with its body unread: a client that offers HTTP/2 beside a POST would wait for ever. Such an offer may be
 * ignored (RFC 9110, 7.8).
 */
export class Incoming extends IncomingMessage {
  declare [ASKED]: boolean | null;

  // Node reads this right after the head, and takes the message for a plain one when it is false.
  get upgrade(): boolean {
    return this[ASKED] === true && (this.method === 'CONNECT' || isWebSocket(this));
  }

  set upgrade(asked: boolean | null) {
    this[ASKED] = asked;
  }
}

/** Whether a request offered a protocol that it was not given. The parser has lost what came right behind such a request. */
export const declinesUpgrade = (request: IncomingMessage): boolean =>
  (request as Partial<Incoming>)[ASKED] === true && !isWebSocket(request);

const isWebSocket = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' &&
  headers.upgrade?.toLowerCase() === 'websocket' &&
  headers['transfer-encoding'] === undefined &&
  !(Number(headers['content-length'] ?? 0) > 0);
