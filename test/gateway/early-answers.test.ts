import { afterEach, beforeEach, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { init } from '../../src/guest/client.js';
import { startAgent, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

/** Answers that come before the body of their request has come whole: proxy, gateway, and a real agent. */
let world: FakeWorld;
let agent: RunningAgent;
beforeEach(async () => {
  world = await new FakeWorld().start();
  const token = accessToken(TOKENS_KEY, world.add('i1').spec);
  agent = await startAgent({ initialised: false });
  world.guest = agent.address;
  const told = { envVars: {}, accessToken: token, timestamp: new Date().toISOString(), defaultUser: 'root' };
  await init(agent.address, token, told, AbortSignal.timeout(10_000));
});
afterEach(async () => {
  await world.stop();
  await agent.stop();
});

const MIB = 1024 * 1024;
const body = Buffer.alloc(4 * MIB, 'x');

const full = (given: Buffer | ReadableStream): Promise<Response> =>
  fetch(`${world.proxyUrl}/files?path=/dev/full`, {
    method: 'POST',
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983', ...world.access('i1') },
    body: given,
    duplex: 'half',
  } as RequestInit);

test('every upload without room is told so, whatever of it is still on its way', { timeout: 60_000 }, async () => {
  const statuses: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const answers = [full(body), full(new Blob([body]).stream()), full(body), full(body.subarray(0, MIB))];
    for (const answer of await Promise.all(answers)) {
      statuses.push(answer.status);
      expect(await answer.json()).toMatchObject({ code: answer.status });
    }
  }
  expect(statuses.filter((status) => status !== 507)).toEqual([]);
});

const message = Buffer.alloc(33 * MIB, ' ');
/** The head of a frame of 33 MiB, and all that it announces. */
const frame = Buffer.concat([Buffer.from([0, 2, 0x10, 0, 0]), message]);

test.each([
  ['a message', 'SendInput', 'application/json', message, 429],
  ['a message in a stream', 'Start', 'application/connect+json', frame, 200],
])('%s that is too long for the agent is told so', { timeout: 60_000 }, async (_what, call, type, bytes, status) => {
  const answer = await fetch(`${world.proxyUrl}/process.Process/${call}`, {
    method: 'POST',
    headers: { 'E2b-Sandbox-Id': 'i1', 'E2b-Sandbox-Port': '49983', ...world.access('i1'), 'content-type': type },
    body: new Blob([bytes]).stream(),
    duplex: 'half',
  } as RequestInit);
  expect([answer.status, await answer.text()]).toEqual([status, expect.stringContaining('resource_exhausted')]);
});
