import { beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

interface Entry {
  message: string;
  fields: Record<string, string>;
}

test('a sandbox has metrics from its first moment on, also while it sleeps, and a log of its life that names no command', async () => {
  const id = await api.create({ timeout: 600 });
  const client = await clientOf(service, id);
  const first = (await client.getMetrics()) as unknown as Record<string, number>[];
  expect(first.length).toBeGreaterThan(0);
  expect(first[0]).toMatchObject({ cpuCount: 2, memTotal: expect.any(Number), diskTotal: expect.any(Number) });
  expect(first[0]!['memUsed']).toBeGreaterThan(20 * 1024 * 1024);
  expect(first[0]!['memUsed']).toBeLessThan(first[0]!['memTotal']!);

  await client.commands.run('echo secret-word; exit 0');
  await client.commands.run('true', { user: 'root' });
  await expect(client.commands.run('exit 7')).rejects.toMatchObject({ exitCode: 7 });
  const many = await api.call('GET', `/sandboxes/metrics?sandbox_ids=${id},i0`);
  expect(Object.keys((many.body as { sandboxes: object }).sandboxes)).toEqual([id]);
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  const kept = (await api.call('GET', `/sandboxes/${id}/metrics?end=${Date.now()}`)).body as object[];
  expect(kept.length).toBeGreaterThan(0);
  await clientOf(service, id);
  // Being asked for metrics, the host looks at the guest and takes over what its agent noted.
  await api.call('GET', `/sandboxes/${id}/metrics`);
  const logs = async (): Promise<Entry[]> =>
    ((await api.call('GET', `/v2/sandboxes/${id}/logs`)).body as { logs: Entry[] }).logs;
  await expect.poll(async () => (await logs()).map(({ fields }) => fields['exitCode'])).toContain('7');
  const entries = await logs();
  expect(entries[0]).toMatchObject({ message: 'sandbox created', fields: { source: 'host' } });
  expect(entries.map(({ message }) => message)).toEqual(
    expect.arrayContaining(['sandbox paused', 'sandbox resumed', 'process started', 'process ended']),
  );
  expect(entries.map(({ fields }) => fields['user'])).toEqual(expect.arrayContaining(['user', 'root']));
  expect(JSON.stringify(entries)).not.toContain('secret-word');
  await client.kill();
  expect((await api.call('GET', `/sandboxes/${id}/metrics`)).status).toBe(404);
});

test('being looked at keeps no sandbox awake', async () => {
  const id = await api.create({ timeout: 5, autoPause: true });
  for (let round = 0; round < 20 && (await api.state(id)) === 'running'; round++) {
    await api.call('GET', `/sandboxes/${id}/metrics`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  expect(await api.state(id)).toBe('paused');
  await api.call('DELETE', `/sandboxes/${id}`);
});
