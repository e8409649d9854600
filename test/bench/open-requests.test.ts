import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { OpenRequests } from '../../src/bench/open-requests.js';

test('requests that were answered, ended or broken off are told at the end, and those that stayed open are ended', async () => {
  const server = createServer((incoming, response) => {
    incoming.on('error', () => undefined).resume();
    if (incoming.url === '/refused') response.writeHead(429, { connection: 'close' }).end();
    if (incoming.url === '/ended') response.end('x');
    if (incoming.url === '/broken') response.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const open = (path: string) => {
    const { port } = server.address() as AddressInfo;
    const opened = request({ ...{ host: '127.0.0.1', port, path, method: 'POST', agent: false } });
    opened.write('x');
    if (path === '/ended') opened.end();
    return opened;
  };
  try {
    const kept = ['/kept', '/kept'].map(open);
    const fine = new OpenRequests(kept);
    await Promise.all(kept.map((one) => once(one, 'socket')));
    const lost = ['/refused', '/ended', '/broken'].map(open);
    const closed = lost.map((one) => new Promise((resolve) => one.once('close', resolve)));
    const one = open('/kept');
    const some = new OpenRequests([one, ...lost]);
    await Promise.all(closed);
    expect(() => some.end()).toThrow('3 of 4 requests that were to stay open broke off');
    fine.end();
    expect([one, ...kept].every(({ destroyed }) => destroyed)).toBe(true);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
