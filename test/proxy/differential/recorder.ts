import { createServer, type AddressInfo, type Socket } from 'node:net';
import { readMessage, valueOf } from './http-text.js';

/** In place of a guest: keeps every byte of every connection, and answers one request on each. */
export class Recorder {
  readonly connections: { text: string }[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#serve(socket));

  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    const connection = { text: '' };
    this.connections.push(connection);
    this.#sockets.add(socket);
    let continued = false;
    let answered = false;
    socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes) => {
      connection.text += bytes.toString('latin1');
      const request = readMessage(connection.text);
      if (request === undefined || answered) return;
      if (!continued && valueOf(request, 'expect') !== undefined) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      continued = true;
      if (!request.complete && request.fault === undefined) return;
      answered = true;
      const mark = `X-Saw: ${valueOf(request, 'x-mark') ?? 'nobody'}\r\n`;
      if (valueOf(request, 'upgrade') === 'websocket') {
        return void socket.write(`HTTP/1.1 101 Switching\r\n${mark}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
      }
      const body = request.start.startsWith('HEAD ') ? '' : 'seen';
      socket.write(`HTTP/1.1 200 OK\r\n${mark}Content-Length: 4\r\n\r\n${body}`);
    });
  }
}
