import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { init } from '../../src/guest/client.js';
import { accessToken } from '../../src/keys/access-token.js';
import { asRoot, startAgent, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld, TOKENS_KEY } from './fake-world.js';
import { pageFetch } from './page-fetch.js';

/** The published npm client in a page of another origin: it finds a `window`, and a `fetch` that lets through what a browser would. */
let world: FakeWorld;
let agent: RunningAgent;
const load = () => import('e2b');
let sdk: Awaited<ReturnType<typeof load>>;
let at: { apiKey: string; validateApiKey: boolean; apiUrl: string; sandboxUrl: string };
let page: typeof fetch;
beforeAll(async () => {
  page = pageFetch(fetch);
  world = await new FakeWorld().start();
  agent = await startAgent({ initialised: false });
  world.guest = agent.address;
  vi.stubGlobal('window', { document: {} });
  sdk = await load();
  at = { apiKey: 'key-a', validateApiKey: false, apiUrl: world.apiUrl, sandboxUrl: world.proxyUrl };
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await agent.stop();
  await world.stop();
});

const inPage = async <T>(work: () => Promise<T>): Promise<T> => {
  vi.stubGlobal('fetch', page);
  try {
    return await work();
  } finally {
    vi.stubGlobal('fetch', fetchNow);
  }
};
const fetchNow = fetch;

/** What the host tells the agent of a new sandbox. */
async function tellAgent(id: string): Promise<void> {
  const token = accessToken(TOKENS_KEY, world.views.get(id)!.spec);
  const defaultUser = asRoot ? 'root' : (process.env['USER'] ?? 'user');
  const body = { envVars: {}, accessToken: token, timestamp: new Date().toISOString(), defaultUser };
  await init(agent.address, token, body, AbortSignal.timeout(10_000));
}

test('a page creates a sandbox, runs commands, writes and reads files, pauses, lists and kills', async () => {
  const sandbox = await inPage(() => sdk.Sandbox.create({ ...at, metadata: { from: 'a page' } }));
  await tellAgent(sandbox.sandboxId);
  await inPage(async () => {
    expect((await sandbox.commands.run('echo hello')).stdout).toBe('hello\n');
    await sandbox.files.write(`${agent.directory}/from-page`, 'wörds');
    expect(await sandbox.files.read(`${agent.directory}/from-page`)).toBe('wörds');
    expect(await sandbox.isRunning()).toBe(true);
    const other = await sdk.Sandbox.create(at);
    const pages = sdk.Sandbox.list({ ...at, limit: 1 });
    const ids: string[] = [];
    while (pages.hasNext) ids.push(...(await pages.nextItems()).map((found) => found.sandboxId));
    expect(ids.sort()).toEqual([sandbox.sandboxId, other.sandboxId].sort());
    await sandbox.setTimeout(60_000);
    expect(await sandbox.pause()).toBe(true);
    expect(await sandbox.kill()).toBe(true);
    expect(await other.kill()).toBe(true);
  });
});

describe('a page learns why it is refused', () => {
  test('by the client’s own errors', async () => {
    const id = 'gone';
    await inPage(async () => {
      await expect(sdk.Sandbox.create({ ...at, apiKey: 'of-nobody' })).rejects.toThrow(sdk.AuthenticationError);
      await expect(sdk.Sandbox.create('of-nobody', at)).rejects.toThrow(/template "of-nobody" was not found/);
      await expect(sdk.Sandbox.connect(id, at)).rejects.toThrow(sdk.NotFoundError);
      expect(await sdk.Sandbox.kill(id, at)).toBe(false);
      const sandbox = await sdk.Sandbox.create(at);
      world.views.delete(sandbox.sandboxId);
      expect(await sandbox.isRunning()).toBe(false);
      await expect(sandbox.files.read('/x')).rejects.toThrow(/not found/);
    });
  });

  test.each([
    ['without a key', 'POST', '/sandboxes', '{}', {}, 401],
    ['with a body that is no JSON', 'POST', '/sandboxes', '{', { 'x-api-key': 'key-a' }, 400],
    ['with a body that is too large', 'POST', '/sandboxes', 'x'.repeat(600_000), { 'x-api-key': 'key-a' }, 413],
    ['at a route that is not there', 'GET', '/nowhere', undefined, { 'x-api-key': 'key-a' }, 404],
    ['with a method that is not there', 'PATCH', '/sandboxes', '{}', { 'x-api-key': 'key-a' }, 405],
    ['at a route that is not offered', 'GET', '/volumes', undefined, { 'x-api-key': 'key-a' }, 501],
    ['with headers that are too large', 'GET', '/sandboxes', undefined, { 'x-api-key': 'k'.repeat(20_000) }, 431],
  ] as const)('by the api, %s', async (_name, method, path, body, headers, status) => {
    for (const url of [world.apiUrl, world.proxyUrl]) {
      if (url === world.proxyUrl && status !== 431) continue;
      const answer = await page(url + path, { method, headers, ...(body === undefined ? {} : { body }) });
      expect([answer.status, ((await answer.json()) as { code: number }).code]).toEqual([status, status]);
    }
  });

  test.each([
    ['that is not there', { 'e2b-sandbox-id': 'gone', 'e2b-sandbox-port': '49983' }, 502],
    ['without its token', { 'e2b-sandbox-id': 'i1', 'e2b-sandbox-port': '49983' }, 401],
    ['that no request names', {}, 400],
  ])('by the data plane, of a sandbox %s', async (_name, headers, status) => {
    world.add('i1');
    for (const path of ['/files?path=/x', '/process.Process/List']) {
      const answer = await page(world.proxyUrl + path, { method: 'POST', body: '{}', headers });
      expect([path, answer.status]).toEqual([path, status]);
    }
    world.views.delete('i1');
  });

  test('and when to try again', async () => {
    world.add('i1');
    world.failNext.set('pause', 'TooManyRequests');
    const headers = { 'x-api-key': 'key-a' };
    const answer = await page(`${world.apiUrl}/sandboxes/i1/pause`, { method: 'POST', headers });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '1']);
    world.views.delete('i1');
  });
});

test('no answer of the api lets a page send cookies', async () => {
  for (const path of ['/health', '/sandboxes']) {
    const { headers } = await fetch(world.apiUrl + path, { headers: { origin: 'https://a.test', cookie: 'a=b' } });
    expect([headers.get('access-control-allow-credentials'), headers.get('set-cookie')]).toEqual([null, null]);
  }
});
