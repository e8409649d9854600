import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { waitForAgent } from '../../src/guest/wait-for-agent.js';

/** Of a port that nobody listens on. */
const NOBODY = { host: '127.0.0.1', port: 1 };
const goOn = (): Promise<void> => Promise.resolve();

test('an agent that does not answer in time is said not to have answered, and for how long', async () => {
  await expect(waitForAgent(NOBODY, goOn, 300)).rejects.toThrow("its guest's agent did not answer within 0.3 s");
});

test('whoever gives up waiting is told his own reason', async () => {
  const giveUp = new AbortController();
  setTimeout(() => giveUp.abort(new Error('killed meanwhile')), 50);
  await expect(waitForAgent(NOBODY, goOn, 60_000, giveUp.signal)).rejects.toThrow('killed meanwhile');
});

test('waiting ends at once when it has become pointless', async () => {
  const ended = (): Promise<void> => Promise.reject(new Error('its machine ended'));
  await expect(waitForAgent(NOBODY, ended, 60_000)).rejects.toThrow('its machine ended');
});

test('a try that stays unanswered holds up none of the next ones, and is not given up', async () => {
  const open = new Set<Socket>();
  let closed = 0;
  const server = createServer((request, response) => {
    open.add(request.socket);
    request.socket.once('close', () => closed++);
    if (open.size > 2) response.writeHead(204, { connection: 'close' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  await waitForAgent({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, goOn, 60_000);
  // Whoever closes one has passt take a CPU for it; the one that was answered is over.
  await expect.poll(() => closed).toBe(1);
  server.closeAllConnections();
  server.close();
});
