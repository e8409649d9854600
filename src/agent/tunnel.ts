import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { AgentState } from './agent-state.js';
import { refusal } from './authorize.js';
import { letGo } from './let-go.js';
import { ServiceConnection } from './service-connection.js';

/** HTTP CONNECT to a port of the guest: how the host reaches what listens on its loopback only. */
export function tunnel(request: IncomingMessage, client: Socket, head: Buffer, state: AgentState): void {
  client.on('error', () => undefined);
  const refused = refusal(state, request.headers['x-access-token'] as string | undefined);
  if (refused !== undefined) return answer(client, 401, 'Unauthorized', refused);
  const target = /^(127\.0\.0\.1|localhost):(\d{1,5})$/.exec(request.url ?? '');
  const port = Number(target?.[2]);
  if (target === null || port < 1 || port > 65_535) return answer(client, 400, 'Bad Request', 'no port of this guest');
  dial(port, ['127.0.0.1', '::1'])
    .then((service) => join(client, head, service))
    .catch((error: Error) => answer(client, 502, 'Bad Gateway', `port ${port}: ${error.message}`));
}

/** A service may listen on one of the loopback addresses only. @throws the last address's error. */
async function dial(port: number, hosts: string[]): Promise<ServiceConnection> {
  const socket = new ServiceConnection();
  try {
    await once(socket.connect(port, hosts[0]!), 'connect');
    return socket;
  } catch (error) {
    if (hosts.length === 1) throw error;
    return dial(port, hosts.slice(1));
  }
}

function join(client: Socket, head: Buffer, service: ServiceConnection): void {
  service.on('error', () => client.destroy());
  client.on('close', () => service.destroy());
  if (client.destroyed) return void service.destroy();
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  if (head.length > 0) service.write(head);
  service.once('end', () => {
    if (service.isBroken) return part(client, service.isDeaf || service.bytesRead === 0);
    client.end();
    service.once('broken', () => part(client, true));
  });
  service.pipe(client, { end: false });
  client.pipe(service);
}

/**
 * The service's connection has broken, and all that came on it was passed on. A service that goes without having read all that
 * it was sent breaks its connection though its answer is whole, so a client that sends on gets an end.
 *
 * @param ended else a client that sends no more, and waits, gets a reset: an answer that broke off must not look whole
 */
function part(client: Socket, ended: boolean): void {
  const close = (): void => void (client.writableEnded ? client.destroy() : client.resetAndDestroy());
  const linger = (): void => letGo(client, Infinity, close);
  if (!ended) {
    client.once('data', () => client.end());
    client.write(Buffer.alloc(0), linger);
  } else if (client.writableFinished) linger();
  else client.once('finish', linger).end();
}

function answer(client: Socket, status: number, reason: string, message: string): void {
  const body = JSON.stringify({ code: status, message });
  const head = `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  client.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
