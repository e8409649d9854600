import { once } from 'node:events';
import { appendFile, readFile, statfs } from 'node:fs/promises';
import { request, type ClientRequest } from 'node:http';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { inLanes } from '../../src/bench/machineless/lanes.js';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from './machineless-service.js';

const MIB = 1024 * 1024;
const DISK_MIB = 500;
const RESERVED_MIB = 100;
/** Steps at once; one tenant gets three of them. */
const AT_ONCE = 4;
/** Sandboxes that run: four that boot, two that are used, four of the creates that hang. */
const QUOTA = 10;
const CONNECTIONS = 30;
const TIMEOUTS = 500;
const ROUNDS = 2;

let service: MachinelessService;
let noisy: ApiClient;
let quiet: ApiClient;
let operator: (method: string, where: string, body?: object) => ReturnType<ApiClient['call']>;
beforeAll(async () => {
  service = await MachinelessService.start(520, {
    ...{ diskMiB: DISK_MIB, reserved: { memoryMiB: 0, diskMiB: RESERVED_MIB } },
    stepsAtOnce: { machine: AT_ONCE, guest: AT_ONCE },
  });
  noisy = new ApiClient(service);
  const operatorKey = (await readFile(service.config.operatorKeyFile, 'utf8')).trim();
  operator = (method, where, body) =>
    noisy.call(method, `/operator${where}`, body, '', { 'x-operator-key': operatorKey });
  const { body } = await operator('POST', '/keys', { tenant: 'quiet' });
  quiet = new ApiClient({ config: service.config, apiKey: (body as { key: string }).key });
  const limited = await operator('PATCH', '/tenants/default', { limits: { runningSandboxes: QUOTA } });
  expect(limited.status).toBe(200);
}, 120_000);
afterAll(() => service?.end());

const stopped: (() => void | Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of stopped) await stop();
});

/**
 * 503 says that the host did not answer in time: on a busy machine it is slow, in this process with all of its clients. Nothing
 * happened, and it is asked again.
 */
async function ask(api: ApiClient, method: string, where: string, body?: object): ReturnType<ApiClient['call']> {
  for (;;) {
    const answer = await api.call(method, where, body);
    if (answer.status !== 503) return answer;
    await delay(200);
  }
}

const call = async (api: ApiClient, method: string, where: string, body?: object): Promise<number> =>
  (await ask(api, method, where, body)).status;

/** Everything that a tenant does with a sandbox. */
async function live(api: ApiClient): Promise<void> {
  const made = await ask(api, 'POST', '/sandboxes', { templateID: 'base', timeout: 300 });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const { sandboxID: id, envdAccessToken: token } = made.body as { sandboxID: string; envdAccessToken: string };
  expect(await call(api, 'POST', `/sandboxes/${id}/timeout`, { timeout: 900 })).toBe(204);
  const health = await fetch(`http://127.0.0.1:${service.config.proxyPort}/health`, { headers: doorOf(id, token) });
  expect(health.status).toBe(200);
  expect(await call(api, 'POST', `/sandboxes/${id}/pause`)).toBe(204);
  expect(await call(api, 'POST', `/sandboxes/${id}/connect`, { timeout: 300 })).toBe(201);
  expect((await ask(api, 'GET', `/sandboxes/${id}`)).body).toMatchObject({ state: 'running' });
  expect(await call(api, 'DELETE', `/sandboxes/${id}`)).toBe(204);
}

const doorOf = (id: string, token: string): Record<string, string> => ({
  ...{ 'x-access-token': token, 'e2b-sandbox-id': id, 'e2b-sandbox-port': '49983' },
});

const isRunning = async (id: string): Promise<boolean> => (await service.machines.state(domainName(id))) === 'running';

async function used(tenant: string): Promise<{ runningSandboxes: number }> {
  for (;;) {
    const { body } = await operator('GET', `/tenants/${tenant}`);
    const { used: found, missingHosts } = body as { used: { runningSandboxes: number }; missingHosts?: string[] };
    if (missingHosts === undefined) return found;
    await delay(200);
  }
}

/** Its guest writes for as long as its virtual CPUs run. */
function growsWhileItRuns(id: string): void {
  const overlay = path.join(service.config.stateDir, 'sandboxes', id, 'overlay.qcow2');
  let over = false;
  const growing = (async () => {
    for (; !over; await delay(100)) if (await isRunning(id)) await appendFile(overlay, Buffer.alloc(4 * MIB, 1));
  })();
  stopped.push(() => {
    over = true;
    return growing.catch(() => undefined);
  });
}

/** Connections that stay open, on which a byte comes now and then. */
async function trickle(id: string, token: string): Promise<void> {
  const requests: ClientRequest[] = [];
  for (let count = 0; count < CONNECTIONS; count++) {
    const open = request({
      ...{ host: '127.0.0.1', port: service.config.proxyPort, method: 'POST', path: '/anything', agent: false },
      headers: { ...doorOf(id, token), 'transfer-encoding': 'chunked' },
    });
    open.on('error', () => undefined);
    open.write('x');
    await once(open, 'socket');
    requests.push(open);
  }
  const writing = setInterval(() => requests.forEach((open) => open.write('x')), 500);
  stopped.unshift(() => {
    clearInterval(writing);
    requests.forEach((open) => open.destroy());
  });
}

test('beside a tenant that does its worst none of another’s calls is refused, and none waits for the other’s', async () => {
  // An api takes a new key up by itself, but not at once.
  await expect.poll(() => call(quiet, 'GET', '/v2/sandboxes')).toBe(200);
  const own = [await quiet.create(), await quiet.create()];
  expect(await call(quiet, 'POST', `/sandboxes/${own[0]}/pause`)).toBe(204);
  const before = await used('quiet');
  expect(before).toMatchObject({ runningSandboxes: 1, sleepingSandboxes: 1 });
  const ids: string[] = [];
  for (let count = 0; count < AT_ONCE; count++) ids.push(await noisy.create());
  for (const id of ids) expect(await call(noisy, 'POST', `/sandboxes/${id}/pause`, { memory: false })).toBe(204);
  const big = { metadata: { m: 'm'.repeat(3_000) }, envVars: { E: 'e'.repeat(30_000) } };
  const grown = await noisy.create();
  const full = await ask(noisy, 'POST', '/sandboxes', { templateID: 'base', timeout: 300, ...big });
  expect(full.status).toBe(201);
  const { sandboxID: busy, envdAccessToken: token } = full.body as { sandboxID: string; envdAccessToken: string };

  // Disk: until this guest is held.
  growsWhileItRuns(grown);
  await expect.poll(() => isRunning(grown), { timeout: 60_000 }).toBe(false);
  // Guests that boot and never answer, and creates that hang: more than there are places for.
  service.machines.deaf = true;
  const hanging = ids.map((id) => call(noisy, 'POST', `/v2/sandboxes/${id}/connect`, { timeout: 300 }));
  await expect.poll(async () => (await used('default')).runningSandboxes).toBe(AT_ONCE + 2);
  let release = (): void => undefined;
  service.machines.hold = new Promise((resolve) => (release = resolve));
  const created = Array.from({ length: 2 * AT_ONCE }, () =>
    call(noisy, 'POST', '/sandboxes', { templateID: 'base', timeout: 300 }),
  );
  const most = AT_ONCE - 1;
  await expect
    .poll(() => [service.machines.waiting, service.machines.boots], { timeout: 20_000 })
    .toEqual([most, most]);
  service.machines.hold = undefined;
  await expect.poll(async () => (await used('default')).runningSandboxes).toBe(QUOTA);
  // Connections, and calls.
  await trickle(busy, token);
  let over = false;
  const flood = inLanes(4, TIMEOUTS, async () => {
    if (!over) expect(await call(noisy, 'POST', `/sandboxes/${busy}/timeout`, { timeout: 900 })).toBe(204);
  });

  expect(await used('quiet')).toEqual(before);
  for (let round = 0; round < ROUNDS; round++) await live(quiet);
  expect(await used('quiet')).toEqual(before);

  // None of what the other has asked for is done.
  expect(service.machines.waiting).toBe(most);
  expect(await isRunning(grown)).toBe(false);
  expect((await ask(noisy, 'GET', `/sandboxes/${grown}`)).body).toMatchObject({ state: 'running' });
  const { bavail, bsize } = await statfs(service.config.stateDir);
  expect((bavail * bsize) / MIB).toBeGreaterThan(RESERVED_MIB);
  const logs = await ask(noisy, 'GET', `/v2/sandboxes/${grown}/logs`);
  expect(JSON.stringify(logs.body)).toContain('the sandbox is held');

  over = true;
  await flood;
  release();
  expect((await Promise.all(created)).filter((status) => status === 429)).toHaveLength(2 * AT_ONCE - 4);
  for (const id of [...ids, grown, busy]) expect(await call(noisy, 'DELETE', `/sandboxes/${id}`)).toBe(204);
  await Promise.all(hanging);
}, 600_000);
