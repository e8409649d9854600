import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, inject, test } from 'vitest';
import { ApiClient } from './api-client.js';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);
let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

const live = async (id: string): Promise<boolean> =>
  (await run('virsh', ['-q', 'list', '--name'])).stdout.split('\n').includes(`dormouse-${id}`);

test('a plain shell with `temporal workflow signal` pauses, resumes and kills a real machine', async () => {
  const { config } = service;
  const cli = config.temporal.cli ?? path.join(config.toolsDir, 'temporal');
  const signal = (id: string, name: string, input?: string) =>
    run(cli, [
      ...['workflow', 'signal', '--address', config.temporal.address, '--workflow-id', `sandbox-${id}`, '--name', name],
      ...(input === undefined ? [] : ['--input', input]),
    ]);
  const id = await api.create();
  expect(await live(id)).toBe(true);
  await signal(id, 'pause');
  await expect.poll(() => live(id), { timeout: 20_000 }).toBe(false);
  await expect.poll(() => api.state(id), { timeout: 20_000 }).toBe('paused');
  await signal(id, 'resume');
  await expect.poll(() => api.state(id), { timeout: 20_000 }).toBe('running');
  await signal(id, 'no-such-signal');
  await signal(id, 'setTimeout', '"soon"');
  expect(await api.state(id)).toBe('running');
  await signal(id, 'kill');
  await expect.poll(() => live(id), { timeout: 20_000 }).toBe(false);
  await expect
    .poll(
      () =>
        access(path.join(config.stateDir, 'sandboxes', id)).then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(false);
  expect(await api.state(id)).toBe(404);
});

test('a machine that ends by itself is noticed, and its sandbox ends with the reason on record', async () => {
  const id = await api.create();
  await run('virsh', ['destroy', `dormouse-${id}`]);
  await expect.poll(() => api.state(id), { timeout: 10_000 }).toBe(404);
  const cli = service.config.temporal.cli ?? path.join(service.config.toolsDir, 'temporal');
  const { stdout } = await run(cli, [
    'workflow',
    'result',
    '--address',
    service.config.temporal.address,
    '--workflow-id',
    `sandbox-${id}`,
    '-o',
    'json',
  ]);
  expect(stdout).toContain('its machine ended by itself');
});
