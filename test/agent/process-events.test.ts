import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent, type RunningAgent } from './agent-process.js';
import { bash, run } from './run-command.js';

let agent: RunningAgent;
beforeAll(async () => (agent = await startAgent()), 60_000);
afterAll(() => agent.stop());

const drain = async (): Promise<{ events: Record<string, unknown>[]; dropped: number }> =>
  (await (await agent.fetch('/events', { method: 'POST' })).json()) as never;

test('the agent tells the comings and goings of processes once, and nothing of what they are', async () => {
  await drain();
  await run(agent, bash('echo hush-hush; exit 3'));
  const drained = await drain();
  expect(drained.events).toMatchObject([
    { event: 'started', pid: expect.any(Number) },
    { event: 'ended', pid: drained.events[0]!['pid'], exitCode: 3 },
  ]);
  expect(JSON.stringify(drained)).not.toContain('hush');
  expect(await drain()).toEqual({ events: [], dropped: 0 });
});

test('only for who has the token', async () => {
  for (const path of ['/events', '/sync']) {
    const { status } = await agent.fetch(path, { method: 'POST', headers: { 'x-access-token': 'wrong' } });
    expect(status).toBe(401);
  }
});

test('the agent answers a sync when it is done', async () => {
  expect((await agent.fetch('/sync', { method: 'POST' })).status).toBe(204);
});
