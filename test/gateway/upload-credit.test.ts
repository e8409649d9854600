import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld } from '../api/fake-world.js';

/** Everything goes the whole way: proxy, gateway, a real server in place of the guest's agent. */
let world: FakeWorld;
beforeEach(async () => {
  world = await new FakeWorld().start();
  world.add('i1');
});
afterEach(() => world.stop());

const UNIT = 65_536;
const large = Buffer.alloc(20 * UNIT, 'abcdefghijklmnopqrstuvwxyz');
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const upload = (body: Buffer | ReadableStream): Promise<Response> =>
  fetch(`${world.proxyUrl}/files?path=large`, {
    method: 'POST',
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983', ...world.access('i1') },
    body,
    duplex: 'half',
  } as RequestInit);

/** An agent that leaves it to `handle` to ask for what is uploaded. */
async function agentThatAsks(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<void> {
  const server = await world.serveGuest((request, response) => {
    request.resume().once('end', () => response.end(`headers: ${request.rawHeaders.join(' ')}`));
  });
  server.on('checkContinue', handle);
}

async function agentOfBefore(): Promise<void> {
  await world.serveGuest((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (bytes: Buffer) => hash.update(bytes)).on('end', () => response.end(hash.digest('hex')));
  });
}

describe('a long upload', () => {
  test.each([
    ['of a length that was told', () => large],
    ['of any length', () => new Blob([large]).stream()],
  ])('%s goes no further than the agent has asked for, and arrives whole', async (_, body) => {
    const hash = createHash('sha256');
    let taken = 0;
    let ask: () => void = () => undefined;
    await agentThatAsks((request, response) => {
      expect(request.headers['x-dormouse-credit']).toBe(String(UNIT));
      ask = () => void response.writeProcessing();
      request.on('data', (bytes: Buffer) => {
        taken += bytes.length;
        hash.update(bytes);
      });
      void once(request, 'end').then(() => response.end(hash.digest('hex')));
      ask();
      ask();
    });
    const answered = upload(body());
    await expect.poll(() => taken, { timeout: 10_000 }).toBe(2 * UNIT);
    await delay(100);
    expect(taken).toBe(2 * UNIT);
    for (let unit = 2; unit < 20; unit += 1) ask();
    expect(await (await answered).text()).toBe(digest(large));
  });

  test('goes as it comes to an agent that knows nothing of this', async () => {
    await agentOfBefore();
    expect(await (await upload(large)).text()).toBe(digest(large));
  });

  test('that the agent refuses before it asks ends with the refusal', async () => {
    await agentThatAsks((_request, response) => void response.writeHead(401).end('no'));
    const answer = await upload(large);
    expect([answer.status, await answer.text()]).toEqual([401, 'no']);
  });

  test('that the agent refuses in the middle ends with the refusal, though not all of it was sent', async () => {
    let taken = 0;
    await agentThatAsks((request, response) => {
      response.writeProcessing();
      request.on('data', (bytes: Buffer) => {
        taken += bytes.length;
        if (taken === UNIT) response.writeHead(507).end('full');
      });
    });
    const answer = await upload(large);
    expect([answer.status, await answer.text()]).toEqual([507, 'full']);
    expect(taken).toBe(UNIT);
  });
});

test('an upload of one unit goes without asking', async () => {
  await agentThatAsks((_request, response) => void response.writeHead(500).end('expected nothing'));
  const answer = await upload(large.subarray(0, UNIT));
  expect(answer.status).toBe(200);
  expect(await answer.text()).not.toMatch(/credit/);
});
