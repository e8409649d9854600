import { beforeAll, describe, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import { readLog, type RunningService } from './running-service.js';

let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

const PANIC = 'sync; (sleep 0.5; echo c > /proc/sysrq-trigger) & sleep 5';

/** @returns the sandbox's id, after its guest's kernel has panicked. */
async function panicked(before = 'true'): Promise<string> {
  const id = await api.create({ timeout: 600 });
  const client = await clientOf(service, id);
  await client.commands.run(before, { user: 'root' });
  await client.commands.run(PANIC, { user: 'root', timeoutMs: 4_000 }).catch(() => undefined);
  return id;
}
const why = async (id: string): Promise<string | undefined> =>
  (await readLog(service, 'host-worker'))
    .split('\n')
    .find((line) => line.includes(id) && line.includes('its guest has crashed'));

describe.concurrent('a crash', () => {
  test('a guest whose kernel panics has ended, and the reason is on record', async ({ expect }) => {
    const id = await panicked();
    await expect.poll(() => api.state(id), { timeout: 60_000, interval: 500 }).toBe(404);
    expect(await why(id)).toContain('its kernel panicked');
    expect((await api.connect(id)).status).toBe(404);
  }, 120_000);

  test('a guest that panics and tells nobody is not paused, and ends for its silence', async ({ expect }) => {
    // As one of before there was a panic device.
    const id = await panicked('modprobe -r pvpanic_mmio && sysctl -w kernel.panic=0');
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(500);
    await expect.poll(() => api.state(id), { timeout: 120_000, interval: 500 }).toBe(404);
    expect(await why(id)).toContain('its agent has not answered for');
  }, 240_000);
});
