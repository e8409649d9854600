import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
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
