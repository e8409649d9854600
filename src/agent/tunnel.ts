import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { AgentState } from './agent-state.js';
import { refusal } from './authorize.js';

/** HTTP CONNECT to a port of the guest: how the host reaches what listens on its loopback only. */
export function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, state: AgentState): void {
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
async function dial(port: number, hosts: string[]): Promise<Socket> {
  const socket = connect({ port, host: hosts[0]!, allowHalfOpen: true, noDelay: true });
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    if (hosts.length === 1) throw error;
    return dial(port, hosts.slice(1));
  }
}

function join(client: Duplex, head: Buffer, service: Socket): void {
  service.on('error', () => client.destroy());
  service.on('close', () => client.end());
  client.on('close', () => service.destroy());
  if (client.destroyed) return void service.destroy();
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
  if (head.length > 0) service.write(head);
  service.pipe(client);
  client.pipe(service);
}

function answer(client: Duplex, status: number, reason: string, message: string): void {
  const body = JSON.stringify({ code: status, message });
  const head = `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  client.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
