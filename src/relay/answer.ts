import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { declinesUpgrade } from './incoming.js';
import { linger } from './linger.js';

/**
 * An answer that begins before its request has come whole is the last one of its connection: whoever answers without reading
 * does not want the rest, and a client could keep the connection by never sending it.
 */
export class Answer<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  constructor(...args: ConstructorParameters<typeof ServerResponse<Request>>) {
    super(...args);
    closeWith(this.req.socket, this);
    const writeHead = this.writeHead.bind(this) as (...head: unknown[]) => this;
    // Not a method: Express gives its answers another prototype.
    this.writeHead = (...head: unknown[]): this => {
      if (!this.headersSent && (!this.req.complete || declinesUpgrade(this.req))) {
        this.shouldKeepAlive = false;
        linger(this.req.socket);
      }
      return writeHead(...head);
    };
  }
}

const OPEN = new WeakMap<Socket, Set<ServerResponse>>();

/**
 * Node tells of a broken connection only the answer whose turn it is. Those to requests that came behind its own without
 * waiting would be made, and kept, for nobody.
 */
function closeWith(socket: Socket, answer: ServerResponse): void {
  let open = OPEN.get(socket);
  if (open === undefined) {
    OPEN.set(socket, (open = new Set()));
    const answers = open;
    socket.once('close', () => {
      for (const one of answers) {
        if (one.socket !== null || one.destroyed) continue;
        one.destroyed = true;
        one.emit('close');
      }
    });
  }
  const answers = open.add(answer);
  answer.once('close', () => answers.delete(answer));
}
