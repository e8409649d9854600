import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeWorld } from './fake-world.js';

/** The published npm client at the api. */
let world: FakeWorld;
let at: { apiKey: string; validateApiKey: boolean; apiUrl: string; sandboxUrl: string };
beforeAll(async () => {
  world = await new FakeWorld().start();
  at = { apiKey: 'key-a', validateApiKey: false, apiUrl: world.apiUrl, sandboxUrl: world.proxyUrl };
});
afterAll(() => world.stop());

test('a list from the start of a sandbox has that sandbox, a list from a second later has not', async () => {
  const { sandboxId } = await Sandbox.create(at);
  const { startedAt } = await Sandbox.getInfo(sandboxId, at);
  const later = new Date(startedAt.getTime() + 1_000);
  const ids = async (startedAfter: Date): Promise<string[]> =>
    (await Sandbox.list({ ...at, query: { startedAfter } }).nextItems()).map((found) => found.sandboxId);
  expect([await ids(startedAt), await ids(later)]).toEqual([[sandboxId], []]);
});
