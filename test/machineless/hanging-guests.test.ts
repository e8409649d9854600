import { Sandbox } from 'e2b';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { mintKey } from '../../src/api/api-keys.js';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from './machineless-service.js';

const SLOTS = 2;

let service: MachinelessService;
let api: ApiClient;
beforeAll(async () => {
  service = await MachinelessService.start(480, { slots: { guest: SLOTS, machine: SLOTS, short: SLOTS } });
  api = new ApiClient(service);
}, 120_000);
afterAll(() => service?.end());

/** An api takes a new key up by itself, but not at once. */
async function otherTenant(): Promise<ApiClient> {
  const apiKey = await mintKey(service.config.apiKeysFile, 'other');
  const other = new ApiClient({ config: service.config, apiKey });
  await expect.poll(async () => (await other.call('GET', '/v2/sandboxes')).status).toBe(200);
  return other;
}

test('more guests than there are slots boot without an answer: others are created, paused and killed, and so are they', async () => {
  const ids: string[] = [];
  for (let count = 0; count < 2 * SLOTS; count++) ids.push(await api.create());
  for (const id of ids) expect((await api.call('POST', `/sandboxes/${id}/pause`, { memory: false })).status).toBe(204);
  service.machines.deaf = true;
  let answered = 0;
  const connects = ids.map((id) =>
    api.call('POST', `/v2/sandboxes/${id}/connect`, { timeout: 300 }).finally(() => (answered += 1)),
  );
  await expect.poll(() => service.machines.boots).toBe(SLOTS);
  const boots = (id: string): boolean => service.machines.bootIdOf(domainName(id)) !== undefined;

  const other = await otherTenant();
  const created = await other.create();
  expect((await other.call('POST', `/sandboxes/${created}/timeout`, { timeout: 900 })).status).toBe(204);
  expect((await other.call('POST', `/sandboxes/${created}/pause`)).status).toBe(204);
  expect((await other.call('DELETE', `/sandboxes/${created}`)).status).toBe(204);
  // One that waits for a slot, and one that has it.
  for (const id of [ids.find((one) => !boots(one))!, ids.find(boots)!]) {
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    answered -= 1;
  }
  await expect.poll(() => answered).toBe(0);
  // Those that waited have their slots now, and hang in turn.
  await expect.poll(() => ids.filter(boots).length).toBe(SLOTS);
  for (const id of ids) await api.call('DELETE', `/sandboxes/${id}`);
  await Promise.all(connects);
}, 120_000);

test('a sandbox whose guest takes long to shut down at its timeout is shown as paused meanwhile', async () => {
  const { apiPort, proxyPort } = service.config;
  const at = {
    ...{ apiKey: service.apiKey, validateApiKey: false },
    ...{ apiUrl: `http://127.0.0.1:${apiPort}`, sandboxUrl: `http://127.0.0.1:${proxyPort}` },
  };
  service.machines.deaf = false;
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const lifecycle = { onTimeout: { action: 'pause' as const, keepMemory: false } };
  const metadata = { ['__proto__']: 'kept' };
  const { sandboxId } = await Sandbox.create({ ...at, timeoutMs: 1_000, lifecycle, metadata });
  service.machines.hold = held;
  try {
    const state = async (): Promise<string> => (await Sandbox.getInfo(sandboxId, at)).state;
    await expect.poll(state, { timeout: 30_000 }).toBe('paused');
    // Its machine is still there.
    expect(service.machines.bootIdOf(domainName(sandboxId))).toBeDefined();
    const list = async (state: 'paused' | 'running'): Promise<string[]> =>
      (await Sandbox.list({ ...at, query: { state: [state] } }).nextItems()).map((found) => found.sandboxId);
    expect([await list('paused'), await list('running')]).toEqual([[sandboxId], []]);
    const connecting = api.call('POST', `/v2/sandboxes/${sandboxId}/connect`, { timeout: 300 });
    release();
    expect((await connecting).status).toBe(201);
    expect(await state()).toBe('running');
    // The whole way through workflow and manifest.
    expect(Object.entries((await Sandbox.getInfo(sandboxId, at)).metadata)).toEqual([['__proto__', 'kept']]);
  } finally {
    release();
    service.machines.hold = undefined;
  }
  expect(await Sandbox.kill(sandboxId, at)).toBe(true);
}, 120_000);
