import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import { startService, type RunningService } from './running-service.js';
import { warmMachines } from './warm-machines.js';

const run = promisify(execFile);
const checkInvariants = path.resolve(import.meta.dirname, '../../dist/src/mains/check-invariants.js');

let service: RunningService;
let api: ApiClient;
beforeAll(async () => {
  service = await startService('warm', 1000, { DORMOUSE_WARM_POOL: '1', DORMOUSE_OVERLAY_POOL: '2' });
  api = new ApiClient(service);
}, 300_000);
afterAll(() => service?.end());

const warm = async (): Promise<string[]> => (await warmMachines(service.config.stateDir)).map(({ id }) => id);
const full = (): Promise<void> => expect.poll(async () => (await warm()).length, { timeout: 90_000 }).toBe(1);
/** Once the next overlay is made: half of one is a step under way. */
const invariantsHold = (): Promise<void> =>
  expect
    .poll(
      async () =>
        (await run(process.execPath, [checkInvariants], { env: service.env }).catch((e: { stdout: string }) => e))
          .stdout,
      { timeout: 60_000 },
    )
    .toMatch(/all invariants hold/);

async function create(body: object, headers: Record<string, string> = {}): Promise<{ id: string; ms: number }> {
  const since = performance.now();
  const answer = await api.call(
    'POST',
    '/sandboxes',
    { templateID: 'base', timeout: 600, ...body },
    undefined,
    headers,
  );
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return { id: (answer.body as { sandboxID: string }).sandboxID, ms: performance.now() - since };
}

test('a create gets a machine of the pool that is its own: environment, clock, token, network, sleep and end', async () => {
  await full();
  await invariantsHold();
  const [waiting] = await warm();
  expect(await api.state(waiting!)).toBe(404);

  const asked = Date.now();
  const taken = await create({ envVars: { GREETING: 'hello' }, metadata: { of: 'a test' } });
  expect(taken.id).toBe(waiting);
  const sandbox = await clientOf(service, taken.id);
  const said = (await sandbox.commands.run('echo $GREETING; date +%s%3N; whoami')).stdout.split('\n');
  expect([said[0], said[2]]).toEqual(['hello', 'user']);
  // It was set to a moment of the create, and has gone on since.
  expect(Number(said[1])).toBeGreaterThan(asked - 1_000);
  expect(Number(said[1])).toBeLessThan(Date.now() + 1_000);
  const reseeded = await sandbox.commands.run('dmesg | grep -c "crng reseeded due to virtual machine fork"', {
    user: 'root',
  });
  expect(Number(reseeded.stdout)).toBeGreaterThan(0);

  const { proxyPort } = service.config;
  const list = (token: string): Promise<number> =>
    fetch(`http://127.0.0.1:${proxyPort}/process.Process/List`, {
      method: 'POST',
      headers: { 'x-access-token': token, 'content-type': 'application/json', 'connect-protocol-version': '1' },
      body: '{}',
    }).then(({ status }) => status);
  const { envdAccessToken } = (await api.call('GET', `/sandboxes/${taken.id}`)).body as { envdAccessToken: string };
  expect(await list(envdAccessToken)).toBe(200);
  expect(await list(`${taken.id}.${'0'.repeat(64)}`)).not.toBe(200);

  await sandbox.commands.run('echo in-memory > /dev/shm/x');
  expect((await api.call('POST', `/sandboxes/${taken.id}/pause`)).status).toBe(204);
  expect((await api.connect(taken.id)).status).toBe(201);
  expect((await sandbox.commands.run('cat /dev/shm/x; echo $GREETING')).stdout).toBe('in-memory\nhello\n');

  await full();
  await invariantsHold();
  const made = await create({}, { 'idempotency-key': 'not-from-the-pool' });
  const again = await create({ allow_internet_access: false });
  process.stderr.write(
    `warm-pool: creates from the pool ${taken.ms.toFixed(0)} and ${again.ms.toFixed(0)} ms, without it ${made.ms.toFixed(0)} ms\n`,
  );
  await invariantsHold();
  for (const { id } of [taken, made, again]) expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
  const { stdout } = await run('virsh', ['-q', 'list', '--all', '--name']);
  for (const { id } of [taken, made, again]) expect(stdout.split('\n')).not.toContain(domainName(id));
}, 240_000);
