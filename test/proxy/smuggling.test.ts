import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeWorld } from '../api/fake-world.js';

/** Raw bytes to the proxy: what one client sends must never become part of another's request. */
let world: FakeWorld;
let arrived: { line: string; body: string; token: string | undefined }[];
beforeEach(async () => {
  world = await new FakeWorld().start();
  arrived = [];
  for (const id of ['mine', 'theirs']) world.add(id);
  await world.serveGuest((request, response) => {
    void text(request).then((body) => {
      arrived.push({ line: `${request.method} ${request.url}`, body, token: request.headers['x-secret'] as string });
      response.end('ok');
    });
  });
});
afterEach(() => world.stop());

async function raw(bytes: string): Promise<string> {
  const socket: Socket = connect(world.proxyPort, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  let said = '';
  socket.on('data', (chunk) => (said += chunk.toString()));
  await expect.poll(() => said).toContain('\r\n\r\n');
  socket.destroy();
  return said;
}

test.each(['POST', 'PUT', 'GET', 'DELETE'])(
  'the body of a %s whose Connection header names its length stays its body',
  async (method) => {
    const inner = 'GET /smuggled HTTP/1.1\r\nX-A: ';
    const head = `Host: 49983-mine.x.y\r\nConnection: content-length\r\nContent-Length: ${inner.length}`;
    await raw(`${method} /outer HTTP/1.1\r\n${head}\r\n\r\n${inner}`);
    // Whoever is next on the connection between proxy and gateway.
    for (let count = 0; count < 3; count++) {
      const headers = { 'E2b-Sandbox-Id': 'theirs', 'E2b-Sandbox-Port': '49983', 'x-secret': 'their token' };
      expect(await (await fetch(`${world.proxyUrl}/theirs`, { headers })).text()).toBe('ok');
    }
    expect(arrived.filter(({ line }) => line.includes('smuggled'))).toEqual([]);
    expect(arrived.filter(({ line }) => line.includes('outer'))).toEqual([
      { line: `${method} /outer`, body: inner, token: undefined },
    ]);
    expect(arrived.filter(({ line }) => line === 'GET /theirs')).toHaveLength(3);
  },
);
