import { readFile, statfs } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { inLanes } from '../../src/bench/machineless/lanes.js';
import { MEMORY_MIB } from '../../src/bench/machineless/tiny-template.js';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from './machineless-service.js';
import { doorOf, growsWhileItRuns, PLAIN, STREAMS, trickle } from './noise.js';
import { unstarved } from './unstarved.js';

const MIB = 1024 * 1024;
const DISK_MIB = 500;
const RESERVED_MIB = 100;
/** Steps at once; one tenant gets three of them. */
const AT_ONCE = 4;
/** Sandboxes that its memory is enough for: four that boot, two that are used, four of the creates that hang. */
const QUOTA = 10;
const TIMEOUTS = 500;
const ROUNDS = 2;

let service: MachinelessService;
let noisy: ApiClient;
let quiet: ApiClient;
let operator: (method: string, where: string, body?: object) => ReturnType<ApiClient['call']>;
beforeAll(async () => {
  service = await MachinelessService.start(520, {
    ...{ diskMiB: DISK_MIB, reserved: { memoryMiB: 0, diskMiB: RESERVED_MIB }, hostApart: true },
    stepsAtOnce: { machine: AT_ONCE, guest: AT_ONCE },
  });
  noisy = new ApiClient(service);
  const operatorKey = (await readFile(service.config.operatorKeyFile, 'utf8')).trim();
  operator = (method, where, body) =>
    noisy.call(method, `/operator${where}`, body, '', { 'x-operator-key': operatorKey });
  const { body } = await operator('POST', '/keys', { tenant: 'quiet' });
  quiet = new ApiClient({ config: service.config, apiKey: (body as { key: string }).key });
  const limited = await operator('PATCH', '/tenants/default', { limits: { memoryMiB: QUOTA * MEMORY_MIB } });
  expect(limited.status).toBe(200);
}, 120_000);
afterAll(() => service?.end());

const stopped: (() => unknown)[] = [];
afterAll(async () => {
  for (const stop of stopped) await stop();
});

/** @returns the body of an answer of this status; no other will do. */
async function ask(api: ApiClient, status: number, method: string, where: string, body?: object): Promise<unknown> {
  const answer = await unstarved(service, () => api.call(method, where, body));
  expect(answer.status, `${method} ${where}: ${JSON.stringify(answer.body)}`).toBe(status);
  return answer.body;
}

const make = async (api: ApiClient): Promise<string> =>
  ((await ask(api, 201, 'POST', '/sandboxes', { templateID: 'base', timeout: 300 })) as { sandboxID: string })
    .sandboxID;

async function health(id: string, token: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`http://127.0.0.1:${service.config.proxyPort}/health`, { headers: doorOf(id, token) });
  return { status: answer.status, body: await answer.text() };
}

/** Everything that a tenant does with a sandbox. */
async function live(api: ApiClient): Promise<void> {
  const made = await ask(api, 201, 'POST', '/sandboxes', { templateID: 'base', timeout: 300 });
  const { sandboxID: id, envdAccessToken: token } = made as { sandboxID: string; envdAccessToken: string };
  await ask(api, 204, 'POST', `/sandboxes/${id}/timeout`, { timeout: 900 });
  expect(await unstarved(service, () => health(id, token))).toMatchObject({ status: 200 });
  await ask(api, 204, 'POST', `/sandboxes/${id}/pause`);
  await ask(api, 201, 'POST', `/sandboxes/${id}/connect`, { timeout: 300 });
  expect(await ask(api, 200, 'GET', `/sandboxes/${id}`)).toMatchObject({ state: 'running' });
  await ask(api, 204, 'DELETE', `/sandboxes/${id}`);
}

type Used = Record<'runningSandboxes' | 'memoryMiB' | 'connections', number>;

async function used(tenant: string): Promise<Used> {
  for (;;) {
    const { body } = await operator('GET', `/tenants/${tenant}`);
    const { used: found, missingHosts } = body as { used: Used; missingHosts?: string[] };
    // With one, these are not the figures of now.
    if (missingHosts === undefined) return found;
  }
}

test('beside a tenant that does its worst none of another’s calls is refused, and none waits for the other’s', async () => {
  // An api takes a new key up by itself, but not at once.
  await expect.poll(async () => (await quiet.call('GET', '/v2/sandboxes')).status).toBe(200);
  const own = [await make(quiet), await make(quiet)];
  await ask(quiet, 204, 'POST', `/sandboxes/${own[0]}/pause`);
  const before = await used('quiet');
  expect(before).toMatchObject({ runningSandboxes: 1, sleepingSandboxes: 1 });
  const ids: string[] = [];
  for (let count = 0; count < AT_ONCE; count++) ids.push(await make(noisy));
  for (const id of ids) await ask(noisy, 204, 'POST', `/sandboxes/${id}/pause`, { memory: false });
  const big = { metadata: { m: 'm'.repeat(3_000) }, envVars: { E: 'e'.repeat(30_000) } };
  const grown = await make(noisy);
  const full = await ask(noisy, 201, 'POST', '/sandboxes', { templateID: 'base', timeout: 300, ...big });
  const { sandboxID: busy, envdAccessToken: token } = full as { sandboxID: string; envdAccessToken: string };

  // Disk: until this guest is held.
  stopped.push(growsWhileItRuns(service, grown));
  const { host } = service;
  const runs = (id: string): Promise<boolean> => host.isRunning(domainName(id));
  await expect.poll(() => runs(grown), { timeout: 60_000 }).toBe(false);
  // Guests that boot and never answer, and creates that hang: more than there are places for, and than its memory is enough for.
  await host.order({ deaf: true });
  const hanging = Promise.all(ids.map((id) => noisy.call('POST', `/v2/sandboxes/${id}/connect`, { timeout: 300 })));
  await expect.poll(async () => (await used('default')).runningSandboxes).toBe(AT_ONCE + 2);
  await host.order({ hold: 'all' });
  const created = Promise.all(
    Array.from({ length: 2 * AT_ONCE }, () => noisy.call('POST', '/sandboxes', { templateID: 'base', timeout: 300 })),
  );
  const most = AT_ONCE - 1;
  await expect.poll(() => host.see(), { timeout: 20_000 }).toMatchObject({ waiting: most, boots: most });
  await host.order({ hold: 'those that wait' });
  await expect.poll(async () => (await used('default')).memoryMiB).toBe(QUOTA * MEMORY_MIB);
  // Connections, frames, and calls.
  // What fails first is told, and not what follows from it.
  for (const going of [hanging, created]) going.catch(() => undefined);
  const { connections } = await used('default');
  const trickling = await trickle(service, busy, token);
  stopped.unshift(trickling.end);
  expect((await used('default')).connections).toBeGreaterThanOrEqual(connections + PLAIN + STREAMS);
  let over = false;
  const flood = inLanes(4, TIMEOUTS, async () => {
    if (!over) await ask(noisy, 204, 'POST', `/sandboxes/${busy}/timeout`, { timeout: 900 });
  });
  flood.catch(() => undefined);

  expect(await used('quiet')).toEqual(before);
  for (let round = 0; round < ROUNDS; round++) await live(quiet);
  expect(await used('quiet')).toEqual(before);

  // None of what the other has asked for is done, and all of its noise is still there.
  expect((await host.see()).waiting).toBe(most);
  expect(await runs(grown)).toBe(false);
  expect(await ask(noisy, 200, 'GET', `/sandboxes/${grown}`)).toMatchObject({ state: 'running' });
  const { bavail, bsize } = await statfs(service.config.stateDir);
  expect((bavail * bsize) / MIB).toBeGreaterThan(RESERVED_MIB);
  expect(JSON.stringify(await ask(noisy, 200, 'GET', `/v2/sandboxes/${grown}/logs`))).toContain('the sandbox is held');
  expect((await used('default')).connections).toBeGreaterThanOrEqual(connections + PLAIN + STREAMS);
  const frames = trickling.frames();
  const goesOn = (): boolean => trickling.frames().every((count, stream) => count > frames[stream]!);
  await expect.poll(goesOn, { timeout: 60_000 }).toBe(true);
  trickling.end();

  over = true;
  await flood;
  await host.order({ hold: 'nobody' });
  const refused = (await created).filter(({ status }) => status === 429);
  expect(refused).toHaveLength(2 * AT_ONCE - 4);
  for (const { body } of refused) expect(JSON.stringify(body)).toContain('MiB of memory');
  for (const id of [...ids, grown, busy]) await ask(noisy, 204, 'DELETE', `/sandboxes/${id}`);
  await hanging;
}, 600_000);
