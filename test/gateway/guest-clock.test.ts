import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { init } from '../../src/guest/client.js';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { asRoot, startAgent, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld, TOKENS_KEY } from '../api/fake-world.js';

const token = accessToken(TOKENS_KEY, { id: 'i1' });
const user = asRoot ? 'root' : (process.env['USER'] ?? 'user');

let world: FakeWorld;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'guest-clock-test-'));
  world = await new FakeWorld().start();
  world.add('i1');
});
afterAll(async () => {
  await world.stop();
  await rm(directory, { recursive: true });
});

/** The agent, with a clock that shows this year. */
async function agentIn(year: number): Promise<RunningAgent> {
  const clock = path.join(directory, `${year}.cjs`);
  await writeFile(clock, `Date.now = () => Date.UTC(${year}, 0);`);
  const before = process.env['NODE_OPTIONS'];
  process.env['NODE_OPTIONS'] = `--require ${clock}`;
  try {
    const agent = await startAgent({ initialised: false });
    const body = { envVars: {}, accessToken: token, timestamp: new Date().toISOString(), defaultUser: user };
    await init(agent.address, token, body, AbortSignal.timeout(10_000));
    world.guest = agent.address;
    return agent;
  } finally {
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  }
}

test.each([2019, 2190])(
  'a guest whose clock shows %d opens signed addresses until their end, and not after it',
  async (year) => {
    const agent = await agentIn(year);
    const file = path.join(agent.directory, 'a file?#&%41');
    const ask = (secondsFromNow: number, operation: 'read' | 'write', body?: string): Promise<Response> => {
      const expiration = String(Math.floor(Date.now() / 1000) + secondsFromNow);
      const signature = signFile({ path: file, operation, user: '', expiration }, token);
      const query = new URLSearchParams({ path: file, signature, signature_expiration: expiration });
      const method = operation === 'read' ? 'GET' : 'POST';
      const headers = { 'content-type': 'application/octet-stream' };
      return fetch(`${world.proxyUrl}/files?${query}`, { method, ...(body === undefined ? {} : { body, headers }) });
    };
    try {
      expect((await ask(60, 'write', 'written')).status).toBe(200);
      expect(await (await ask(60, 'read')).text()).toBe('written');
      expect([(await ask(-60, 'write', 'too late')).status, (await ask(-60, 'read')).status]).toEqual([401, 401]);
      expect(await readFile(file, 'utf8')).toBe('written');
    } finally {
      await agent.stop();
    }
  },
);
