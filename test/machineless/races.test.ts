import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DOMAIN_PREFIX, domainName } from '../../activities/machine.js';
import { waitForHttp } from '../../src/setup/wait.js';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from './machineless-service.js';

/** How often the two races are run; `make linearizability` runs them as often as docs/races.md asks. */
const ROUNDS = Number(process.env['DORMOUSE_TEST_RACES'] ?? 24);
const LANES = 6;

let service: MachinelessService;
let api: ApiClient;
beforeAll(async () => {
  service = await MachinelessService.start(450, { machinesTakeUpToMs: 20 });
  api = new ApiClient(service);
}, 120_000);
afterAll(() => service.end());

const status = async (method: string, path: string, body?: object): Promise<number> =>
  (await api.call(method, path, body)).status;
const bootId = (id: string): string | undefined => service.machines.bootIdOf(domainName(id));

/** Runs `round` so many times, a few at once; nothing of it goes on afterwards. */
async function repeated(times: number, round: () => Promise<void>): Promise<void> {
  let left = times;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await round();
  };
  const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;
}

test('row 12: a connect right after an answered pause never hears 409', async () => {
  await repeated(ROUNDS, async () => {
    const id = await api.create();
    expect(await status('POST', `/sandboxes/${id}/pause`)).toBe(204);
    expect(await status('POST', `/sandboxes/${id}/connect`, { timeout: 300 })).toBe(201);
    expect(await status('DELETE', `/sandboxes/${id}`)).toBe(204);
  });
}, 1_800_000);

test('row 13: a kill 0 to 100 ms after a connect that is under way is final once it is answered', async () => {
  const killed: string[] = [];
  await repeated(ROUNDS, async () => {
    const id = await api.create();
    expect(await status('POST', `/sandboxes/${id}/pause`)).toBe(204);
    const connecting = status('POST', `/sandboxes/${id}/connect`, { timeout: 300 });
    await delay(Math.random() * 100);
    expect(await status('DELETE', `/sandboxes/${id}`)).toBe(204);
    expect(await api.state(id)).toBe(404);
    expect(bootId(id)).toBeUndefined();
    expect([200, 201, 404, 409]).toContain(await connecting);
    killed.push(id);
  });
  // Nor later: nothing that was still under way has brought one back.
  for (const id of killed) expect([await api.state(id), bootId(id)]).toEqual([404, undefined]);
}, 1_800_000);

test('row 11: after a save that failed the machine answers as before, and the sandbox is not shown as paused', async () => {
  const id = await api.create();
  const before = bootId(id);
  service.machines.failures = 1;
  expect(await api.call('POST', `/sandboxes/${id}/pause`)).toMatchObject({ status: 500 });
  expect([await api.state(id), bootId(id)]).toEqual(['running', before]);
  expect(await status('POST', `/sandboxes/${id}/pause`)).toBe(204);
  await api.call('DELETE', `/sandboxes/${id}`);
});

test('row 25: one restore that fails leaves the sandbox paused, and the next connect wakes it with its memory', async () => {
  const id = await api.create();
  const before = bootId(id);
  expect(await status('POST', `/sandboxes/${id}/pause`)).toBe(204);
  service.machines.failures = 1;
  expect(await api.call('POST', `/sandboxes/${id}/connect`, { timeout: 300 })).toMatchObject({ status: 500 });
  expect([await api.state(id), bootId(id)]).toEqual(['paused', undefined]);
  expect(await status('POST', `/sandboxes/${id}/connect`, { timeout: 300 })).toBe(201);
  expect([await api.state(id), bootId(id)]).toEqual(['running', before]);
  await api.call('DELETE', `/sandboxes/${id}`);
});

test('row 10: a kill is final from every status, also while a create, a pause or a connect stands still', async () => {
  for (const during of ['create', 'pause', 'connect']) {
    const made = during === 'create' ? undefined : await api.create();
    if (during === 'connect') expect(await status('POST', `/sandboxes/${made}/pause`)).toBe(204);
    let release = (): void => undefined;
    service.machines.hold = new Promise((resolve) => (release = resolve));
    try {
      const key = { 'idempotency-key': `race-${during}-${Date.now()}` };
      const path = during === 'create' ? '/sandboxes' : `/sandboxes/${made}/${during}`;
      const body = during === 'create' ? { templateID: 'base' } : during === 'connect' ? { timeout: 300 } : undefined;
      const standing = api.call('POST', path, body, undefined, key);
      const id = made ?? (await service.onlySandbox());
      await delay(100);
      const killing = status('DELETE', `/sandboxes/${id}`);
      // A hypervisor call that cannot be cancelled ends when its machine does; this driver's when it is let go.
      await delay(100);
      release();
      expect([during, await killing]).toEqual([during, 204]);
      expect([during, await api.state(id), bootId(id)]).toEqual([during, 404, undefined]);
      await standing;
    } finally {
      release();
      service.machines.hold = undefined;
    }
  }
});

test('a tenant’s quota holds while many create, connect, pause and kill at once, and after the api was killed', async () => {
  const most = 3;
  const operatorKey = (await readFile(service.config.operatorKeyFile, 'utf8')).trim();
  const operator = (method: string, path: string, body?: object) =>
    api.call(method, `/operator${path}`, body, '', { 'x-operator-key': operatorKey });
  const minted = await operator('POST', '/keys', { tenant: 'narrow' });
  const narrow = new ApiClient({ config: service.config, apiKey: (minted.body as { key: string }).key });
  expect((await operator('PATCH', '/tenants/narrow', { limits: { runningSandboxes: most } })).status).toBe(200);

  const others = new Set(await service.machines.list(DOMAIN_PREFIX));
  let seen = 0;
  const look = setInterval(() => {
    void service.machines.list(DOMAIN_PREFIX).then((names) => {
      seen = Math.max(seen, names.filter((name) => !others.has(name)).length);
    });
  }, 5);
  let refused = 0;
  const ids: string[] = [];
  try {
    await repeated(ROUNDS, async () => {
      const created = await narrow.call('POST', '/sandboxes', { templateID: 'base', timeout: 300 });
      if (created.status === 429) refused += 1;
      else {
        expect(created.status).toBe(201);
        const id = (created.body as { sandboxID: string }).sandboxID;
        expect((await narrow.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
        ids.push(id);
      }
      const [id] = ids;
      if (id === undefined) return;
      const woken = (await narrow.call('POST', `/v2/sandboxes/${id}/connect`, { timeout: 300 })).status;
      expect([200, 201, 404, 409, 429]).toContain(woken);
      if (woken === 201) expect([204, 404]).toContain((await narrow.call('DELETE', `/sandboxes/${id}`)).status);
      if (woken === 201) ids.splice(ids.indexOf(id), 1);
    });
  } finally {
    clearInterval(look);
  }
  expect(refused).toBeGreaterThan(0);
  expect(seen).toBeGreaterThan(0);
  expect(seen).toBeLessThanOrEqual(most);

  for (const { sandboxID } of (await narrow.call('GET', '/v2/sandboxes')).body as { sandboxID: string }[])
    await narrow.call('DELETE', `/sandboxes/${sandboxID}`);
  for (let count = 0; count < most; count++) await narrow.create();
  await service.crash('api');
  await waitForHttp(`http://127.0.0.1:${service.config.apiPort}/health`, 'api', service.logFile('api'));
  const full = await narrow.call('POST', '/sandboxes', { templateID: 'base' });
  expect([full.status, full.headers.get('should-retry')]).toEqual([429, 'false']);
  const { body } = await operator('GET', '/tenants/narrow');
  expect(body).toMatchObject({ ownLimits: { runningSandboxes: most }, used: { runningSandboxes: most } });
  for (const { sandboxID } of (await narrow.call('GET', '/v2/sandboxes')).body as { sandboxID: string }[])
    expect((await narrow.call('DELETE', `/sandboxes/${sandboxID}`)).status).toBe(204);
  await narrow.create();
}, 600_000);
