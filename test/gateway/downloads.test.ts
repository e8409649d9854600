import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeFile } from 'node:fs/promises';
import { sign } from '../../src/agent/signature.js';
import { init } from '../../src/guest/client.js';
import { asRoot, startAgent, TOKEN, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld } from '../api/fake-world.js';

/** Everything goes the whole way: proxy, gateway, the agent itself. */
let world: FakeWorld;
let agent: RunningAgent;
let token: string;
beforeAll(async () => {
  [world, agent] = await Promise.all([new FakeWorld().start(), startAgent()]);
  world.add('i1');
  world.guest = agent.address;
  token = world.access('i1')['x-access-token'];
  const body = { envVars: {}, accessToken: token, timestamp: new Date().toISOString() };
  const defaultUser = asRoot ? 'root' : (process.env['USER'] ?? 'user');
  await init(agent.address, TOKEN, { ...body, defaultUser }, AbortSignal.timeout(5_000));
  await writeFile(`${agent.directory}/f`, '0123456789');
});
afterAll(() => Promise.all([world.stop(), agent.stop()]));

const ask = (headers: Record<string, string>, method = 'GET') => {
  const path = `${agent.directory}/f`;
  const signature = sign({ path, operation: 'read', username: '', expiration: undefined }, token);
  return fetch(`${world.proxyUrl}/files?${new URLSearchParams({ path, signature })}`, {
    method,
    headers: { 'e2b-sandbox-id': 'i1', 'e2b-sandbox-port': '49983', ...headers },
  });
};

test('ranges of a signed address go through proxy and gateway, with GET and HEAD', async () => {
  for (const [range, status, contentRange, text] of [
    ['bytes=2-4', 206, 'bytes 2-4/10', '234'],
    ['bytes=20-', 416, 'bytes */10', expect.stringContaining('416')],
    ['', 200, null, '0123456789'],
  ] as const) {
    const headers = range === '' ? {} : { range };
    const answer = await ask(headers);
    expect([answer.status, answer.headers.get('content-range'), await answer.text()]).toEqual([
      ...[status, contentRange, text],
    ]);
    const head = await ask(headers, 'HEAD');
    expect([head.status, head.headers.get('content-range'), await head.text()]).toEqual([status, contentRange, '']);
    expect(head.headers.get('content-length')).toBe(answer.headers.get('content-length'));
  }
});

test('a file that the client knows is not sent again through proxy and gateway', async () => {
  const modified = (await ask({}, 'HEAD')).headers.get('last-modified');
  const known = await ask({ 'if-modified-since': modified! });
  expect([known.status, await known.text()]).toEqual([304, '']);
  expect((await ask({ range: 'bytes=0-0', 'if-range': modified! })).status).toBe(206);
});
