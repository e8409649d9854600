import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, inject, test } from 'vitest';
import { isBeingSaved } from '../../src/libvirt/being-saved.js';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import type { RunningService } from './running-service.js';

const run = promisify(execFile);
let service: RunningService;
let api: ApiClient;
beforeAll(() => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
});

const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id; echo $GREETING; whoami';

/** A guest each. */
describe.concurrent('the end of a guest that its host did not ask for', () => {
  test('a guest that reboots itself stays the same sandbox: token, environment, files, and a pause afterwards', async ({
    expect,
  }) => {
    const id = await api.create({ timeout: 600, envVars: { GREETING: 'from-create' } });
    const client = await clientOf(service, id);
    const before = (await client.commands.run(BOOT_ID)).stdout;
    await client.files.write('/home/user/kept.txt', 'kept');
    // The command's stream is cut with the machine.
    await client.commands.run('systemctl reboot', { user: 'root' }).catch(() => undefined);
    const bootId = async (): Promise<string> => {
      try {
        return (await client.commands.run(BOOT_ID, { timeoutMs: 10_000 })).stdout;
      } catch {
        return before;
      }
    };
    await expect.poll(bootId, { timeout: 280_000, interval: 1_000 }).not.toBe(before);
    const after = await bootId();
    expect(after.split('\n').slice(1)).toEqual(['from-create', 'user', '']);
    expect(await client.files.read('/home/user/kept.txt')).toBe('kept');
    const { body } = await api.call('GET', `/v2/sandboxes/${id}/logs?search=rebooted`);
    expect((body as { logs: object[] }).logs).toHaveLength(1);
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
    expect((await api.connect(id)).status).toBe(201);
    expect(await bootId()).toBe(after);
    await client.kill();
  }, 400_000);

  test('a guest that powers off has ended, and the reason is on record', async ({ expect }) => {
    const id = await api.create({ timeout: 600 });
    const client = await clientOf(service, id);
    await client.commands.run('systemctl poweroff', { user: 'root' }).catch(() => undefined);
    await expect.poll(() => api.state(id), { timeout: 150_000, interval: 500 }).toBe(404);
    const { config } = service;
    const cli = config.temporal.cli ?? path.join(config.toolsDir, 'temporal');
    const { stdout } = await run(cli, [
      ...['workflow', 'result', '--address', config.temporal.address, '--workflow-id', `sandbox-${id}`, '-o', 'json'],
    ]);
    expect(stdout).toContain('its guest powered off');
  }, 240_000);

  test('a save that libvirt goes on with without its caller is seen until it is over', async ({ expect }) => {
    const id = await api.create({ timeout: 600 });
    const client = await clientOf(service, id);
    const { libvirtUri } = service.config;
    const seen = (): Promise<boolean> => isBeingSaved(libvirtUri, `dormouse-${id}`, AbortSignal.timeout(30_000));
    expect(await seen()).toBe(false);
    // Nobody reads from it: the save waits, and fails when the pipe is closed.
    const pipe = path.join(await mkdtemp('/tmp/dormouse-save-'), 'pipe');
    await run('mkfifo', [pipe]);
    const end = await open(pipe, 'r+');
    const saving = run('virsh', ['-c', libvirtUri, 'save', `dormouse-${id}`, pipe]).catch(() => undefined);
    await expect.poll(seen).toBe(true);
    await end.close();
    await saving;
    expect(await seen()).toBe(false);
    expect((await client.commands.run('echo on', { timeoutMs: 30_000 })).stdout).toBe('on\n');
    await client.kill();
    await rm(path.dirname(pipe), { recursive: true });
  });
});
