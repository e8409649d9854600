import { request, Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import type { RunningService } from './running-service.js';

const LANES = 2;
const ROUNDS_PER_LANE = 10;
const ROUNDS = LANES * ROUNDS_PER_LANE;
const REQUESTS_PER_ROUND = 50;
const AT_ONCE = 5;
const TIMEOUT_SECONDS = 2;

let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

/** One request to the guest's agent, on connections as clients keep them. @returns how it ended, in a word or two */
function ask(agent: Agent, token: string): Promise<string> {
  const since = Date.now();
  return new Promise((resolve) => {
    const asked = request(
      {
        agent,
        ...{ host: '127.0.0.1', port: service.config.proxyPort, method: 'POST', path: '/process.Process/List' },
        headers: { 'x-access-token': token, 'content-type': 'application/json', 'connect-protocol-version': '1' },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.once('error', (error) => resolve(`cut after ${Date.now() - since} ms: ${error.message}`));
        response.once('end', () => resolve(outcomeOf(response.statusCode ?? 0, text, Date.now() - since)));
      },
    );
    asked.once('error', (error) => resolve(`cut after ${Date.now() - since} ms: ${error.message}`));
    asked.end('{}');
  });
}

function outcomeOf(status: number, text: string, afterMs: number): string {
  const body = JSON.parse(text) as { message?: string };
  if (status === 200) return 'answered';
  if (status === 409 && /send the request again/.test(body.message ?? '')) return 'refused at the gate';
  if (status === 502 && body.message === 'The sandbox was not found') return 'paused';
  return `${status} after ${afterMs} ms: ${body.message}`;
}

test('of 1 000 requests around the deadline of an automatic pause every one is answered or refused, none cut', async () => {
  const outcomes = new Map<string, number>();
  let pauses = 0;
  /** One sandbox, around one deadline after the other. */
  const live = async (firstRound: number): Promise<void> => {
    const id = await api.create({ timeout: TIMEOUT_SECONDS, autoPause: true });
    const agent = new Agent({ keepAlive: true });
    for (let round = firstRound; round < ROUNDS; round += LANES) await meet(id, agent, round);
    agent.destroy();
    await api.call('DELETE', `/sandboxes/${id}`);
  };
  const meet = async (id: string, agent: Agent, round: number): Promise<void> => {
    const { status, body } = await api.call('POST', `/sandboxes/${id}/connect`, { timeout: TIMEOUT_SECONDS });
    expect([200, 201], JSON.stringify(body)).toContain(status);
    if (status === 201) pauses++;
    const { envdAccessToken } = body as { envdAccessToken: string };
    const { endAt } = (await api.call('GET', `/sandboxes/${id}`)).body as { endAt: string };
    // From a little before the deadline, when the sandbox turns out to be busy, to after it, when it is being saved.
    await delay(Math.max(0, Date.parse(endAt) - Date.now() - 40 + 15 * round));
    let left = REQUESTS_PER_ROUND;
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        const outcome = await ask(agent, envdAccessToken);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        // So that a round outlasts the pause that refuses it.
        if (outcome !== 'answered') await delay(100);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  };
  await Promise.all(Array.from({ length: LANES }, (_, lane) => live(lane)));
  const seen = Object.fromEntries(outcomes);
  process.stderr.write(`1 000 requests around ${ROUNDS} deadlines, ${pauses} pauses: ${JSON.stringify(seen)}\n`);
  expect([...outcomes.values()].reduce((sum, count) => sum + count, 0)).toBe(ROUNDS * REQUESTS_PER_ROUND);
  expect(Object.keys(seen).filter((key) => !['answered', 'refused at the gate', 'paused'].includes(key))).toEqual([]);
  // Both sides of the deadline were seen.
  expect(seen['answered']).toBeGreaterThan(0);
  expect((seen['refused at the gate'] ?? 0) + (seen['paused'] ?? 0)).toBeGreaterThan(0);
  expect(pauses).toBeGreaterThan(0);
}, 280_000);
