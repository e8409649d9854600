import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { NotEnoughSpaceError, Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AGENT_VERSION } from '../../src/agent/version.js';
import { init } from '../../src/guest/client.js';
import { asRoot, startAgent, TOKEN, type RunningAgent } from '../agent/agent-process.js';
import { FakeWorld } from '../api/fake-world.js';

/** The published npm client at a real agent, through api, proxy and gateway. */
let world: FakeWorld;
let agent: RunningAgent;
let sandbox: Sandbox;
beforeAll(async () => {
  [world, agent] = await Promise.all([new FakeWorld().start(), startAgent()]);
  world.guest = agent.address;
  // Clients choose the form of an upload by it.
  world.report.templates[0]!.envdVersion = AGENT_VERSION;
  const addresses = { apiUrl: world.apiUrl, sandboxUrl: world.proxyUrl };
  sandbox = await Sandbox.create({ apiKey: 'key-a', validateApiKey: false, ...addresses });
  const accessToken = world.access(sandbox.sandboxId)['x-access-token'];
  const body = { envVars: {}, accessToken, timestamp: new Date().toISOString() };
  const defaultUser = asRoot ? 'root' : (process.env['USER'] ?? 'user');
  await init(agent.address, TOKEN, { ...body, defaultUser }, AbortSignal.timeout(10_000));
});
afterAll(() => Promise.all([world.stop(), agent.stop()]));

const at = (name: string): string => `${agent.directory}/${name}`;

test('a form whose part is a text, without a file name, is taken at a signed address', async () => {
  const form = new FormData();
  form.append('file', 'just text ✓');
  const body = Buffer.from(await new Response(form).arrayBuffer()).toString();
  expect(body).not.toContain('filename');
  const address = await sandbox.uploadUrl(at('text'), { useSignatureExpiration: 60 });
  const answer = await fetch(address, { method: 'POST', body: form });
  expect([answer.status, await answer.json()]).toEqual([200, [{ name: 'text', type: 'file', path: at('text') }]]);
  expect(await readFile(at('text'), 'utf8')).toBe('just text ✓');
});

const large = Buffer.alloc(4 * 1024 * 1024, 'x');

test.each([
  ['a form', () => new Blob([large]), { useOctetStream: false }],
  ['bytes', () => new Blob([large]), { useOctetStream: true }],
  ['a stream', () => new Blob([large]).stream(), {}],
])('an upload without room, as %s, rejects with the error that says so', async (_how, data, options) => {
  for (let round = 0; round < 2; round += 1) {
    const error = await sandbox.files.write('/dev/full', data(), options).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(NotEnoughSpaceError);
    expect(String(error)).toMatch(/not enough|no space/i);
  }
});

test('a list of a directory with 2 500 files has all of them', async () => {
  const names = Array.from({ length: 2_500 }, (_, index) => `file-${String(index).padStart(4, '0')}`);
  await mkdir(at('many'));
  await Promise.all(names.map((name) => writeFile(at(`many/${name}`), '')));
  expect((await sandbox.files.list(at('many'))).map((entry) => entry.name).sort()).toEqual(names);
});

test('a part of a file is served at a signed address, with what is needed to ask for the next', async () => {
  await sandbox.files.write(at('ranged'), '0123456789');
  const address = await sandbox.downloadUrl(at('ranged'), { useSignatureExpiration: 60 });
  const part = await fetch(address, { headers: { range: 'bytes=2-4' } });
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234']);
  const past = await fetch(address, { headers: { range: 'bytes=20-' } });
  expect([past.status, past.headers.get('content-range')]).toEqual([416, 'bytes */10']);
});
