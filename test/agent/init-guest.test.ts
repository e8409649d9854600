import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { initGuest } from '../../src/guest/init-guest.js';

let server: Server;
let asked = 0;
let wakes: unknown[] = [];
let shown: unknown[] = [];
afterEach(() => void server.close());

/** An agent that answers with these, the last one again and again. */
async function agentAnswering(...answers: [status: number, body: object][]) {
  asked = 0;
  wakes = [];
  shown = [];
  server = createServer(async (request, response) => {
    const { wake } = JSON.parse((await request.toArray()).join('')) as { wake?: unknown };
    wakes.push(wake);
    shown.push(request.headers['x-access-token']);
    const [status, body] = answers[Math.min(asked++, answers.length - 1)]!;
    response.writeHead(status, { connection: 'close' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const body = { accessToken: 't', envVars: {}, defaultUser: 'user', requireReseed: true };
const NOT_YET: [number, object] = [503, { code: 503, message: 'the kernel has not reseeded' }];

test('an agent whose kernel has not reseeded yet is asked again', async () => {
  const address = await agentAnswering(NOT_YET, NOT_YET, [200, { bootId: 'b' }]);
  expect(await initGuest(address, body, AbortSignal.timeout(5_000))).toMatchObject({ bootId: 'b' });
  expect(asked).toBe(3);
});

test('attempts of one wake have one name, another wake has another', async () => {
  const address = await agentAnswering(NOT_YET, [200, { bootId: 'b' }]);
  for (const _ of [1, 2]) await initGuest(address, body, AbortSignal.timeout(5_000));
  const [first, again, other] = wakes;
  expect([first, again]).toEqual([expect.any(String), first]);
  expect([undefined, first]).not.toContain(other);
});

test('one whose kernel never does fails with what the agent said last', async () => {
  const address = await agentAnswering(NOT_YET);
  const over = new AbortController();
  const failed = expect(initGuest(address, body, over.signal)).rejects.toThrow('503 the kernel has not reseeded');
  // By the second question the answer to the first has been read.
  await expect.poll(() => asked).toBeGreaterThanOrEqual(2);
  over.abort(new Error('its time is over'));
  await failed;
});

test('any other refusal is final', async () => {
  const address = await agentAnswering([401, { code: 401, message: 'a token is needed' }]);
  await expect(initGuest(address, body, AbortSignal.timeout(5_000))).rejects.toThrow('401 a token is needed');
  expect(asked).toBe(1);
});

test('an agent that was told another token before is shown that one, and then what it may know since', async () => {
  const address = await agentAnswering([401, { code: 401, message: 'a token is needed' }], [200, { bootId: 'b' }]);
  await initGuest(address, body, AbortSignal.timeout(5_000), ['before']);
  expect(shown).toEqual(['before', 't']);
  await initGuest(address, body, AbortSignal.timeout(5_000), ['before']);
  expect(shown.slice(2)).toEqual(['before']);
});
