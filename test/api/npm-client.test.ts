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

test('a signed address that has ended says so, in the words that clients compare', async () => {
  const sandbox = await Sandbox.create(at);
  const options = { user: 'user', useSignatureExpiration: -10 };
  const addresses = [await sandbox.downloadUrl('f', options), await sandbox.uploadUrl('f', options)];
  for (const [index, method] of ['GET', 'POST'].entries()) {
    const answer = await fetch(addresses[index]!, { method });
    expect([answer.status, await answer.text()]).toEqual([
      401,
      '{"code":401,"message":"signature is already expired"}',
    ]);
  }
});

test('metadata may have the key `__proto__`', async () => {
  const metadata = { ['__proto__']: 'kept', constructor: 'too' } as unknown as Record<string, string>;
  const { sandboxId } = await Sandbox.create({ ...at, metadata });
  expect(Object.entries((await Sandbox.getInfo(sandboxId, at)).metadata)).toEqual(Object.entries(metadata));
  const [found] = await Sandbox.list({ ...at, query: { metadata } }).nextItems();
  expect([found?.sandboxId, Object.entries(found?.metadata ?? {})]).toEqual([sandboxId, Object.entries(metadata)]);
});
