import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, inject, test } from 'vitest';
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

const live = async (id: string): Promise<boolean> =>
  (await run('virsh', ['-q', 'list', '--name'])).stdout.split('\n').includes(`dormouse-${id}`);

const detail = async (id: string) =>
  (await api.call('GET', `/sandboxes/${id}`)).body as { state: string; pauseMode?: string; envdAccessToken: string };

const directoryOf = (id: string): string => path.join(service.config.stateDir, 'sandboxes', id);

const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';

// Beside each other: each waits for a boot, which keeps one processor busy.
test.concurrent(
  'a sandbox that was shut down keeps its files and token, not its processes, and sleeps with its memory afterwards',
  async () => {
    const id = await api.create({ timeout: 600, envVars: { GREETING: 'from-create' } });
    const before = await clientOf(service, id);
    const { envdAccessToken } = await detail(id);
    const bootBefore = (await before.commands.run(BOOT_ID)).stdout.trim();
    await before.files.write('/home/user/kept.txt', 'kept');
    await before.commands.run('sleep 1000', { background: true });

    expect((await api.call('POST', `/sandboxes/${id}/pause`, { memory: false })).status).toBe(204);
    expect(await live(id)).toBe(false);
    expect(await detail(id)).toMatchObject({ state: 'paused', pauseMode: 'filesystem' });
    expect((await readdir(directoryOf(id))).filter((name) => name.startsWith('image-'))).toEqual([]);
    expect(await readdir(path.join(service.config.stateDir, 'memory'))).not.toContain(id);
    const log = await readFile(path.join(directoryOf(id), 'log.jsonl'), 'utf8');
    expect(log).not.toContain('forced off');

    expect((await api.connect(id)).status).toBe(201);
    expect((await detail(id)).envdAccessToken).toBe(envdAccessToken);
    // The client of before the pause goes on with the token that it has.
    expect(await before.files.read('/home/user/kept.txt')).toBe('kept');
    const bootAfter = (await before.commands.run(BOOT_ID)).stdout.trim();
    expect(bootAfter).not.toBe(bootBefore);
    expect((await before.commands.run('whoami; echo $GREETING; pgrep -c sleep || true')).stdout).toBe(
      'user\nfrom-create\n0\n',
    );

    await before.commands.run('echo in-memory > /dev/shm/x');
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
    expect(await detail(id)).toMatchObject({ state: 'paused', pauseMode: 'full' });
    const again = await clientOf(service, id);
    expect((await again.commands.run(`cat /dev/shm/x; ${BOOT_ID}`)).stdout).toBe(`in-memory\n${bootAfter}\n`);
    await again.kill();
    expect(await live(id)).toBe(false);
  },
  240_000,
);

test.concurrent(
  'one that sleeps with its memory can be booted from its disk',
  async () => {
    const id = await api.create({ timeout: 600 });
    const client = await clientOf(service, id);
    await client.files.write('/home/user/kept.txt', 'kept');
    await client.commands.run('sync');
    const bootBefore = (await client.commands.run(BOOT_ID)).stdout;
    expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
    expect((await api.connect(id, { memory: false })).status).toBe(201);
    expect((await client.commands.run(BOOT_ID)).stdout).not.toBe(bootBefore);
    expect(await client.files.read('/home/user/kept.txt')).toBe('kept');
    expect((await readdir(directoryOf(id))).filter((name) => name.startsWith('image-'))).toEqual([]);
    await client.kill();
  },
  240_000,
);

test.concurrent(
  'one that ignores its power button is ended by force, and what it wrote before is there',
  async () => {
    const id = await api.create({ timeout: 600 });
    const client = await clientOf(service, id);
    await client.commands.run('systemctl mask --now systemd-logind.service', { user: 'root' });
    await client.files.write('/home/user/late.txt', 'written a moment before');
    const pausing = api.call('POST', `/sandboxes/${id}/pause`, { memory: false });
    expect((await pausing).status).toBe(204);
    const { body } = await api.call('GET', `/v2/sandboxes/${id}/logs?level=warn`);
    expect(body).toMatchObject({ logs: [{ message: expect.stringContaining('ended by force') }] });
    expect((await api.connect(id)).status).toBe(201);
    const woken = await clientOf(service, id);
    expect(await woken.files.read('/home/user/late.txt')).toBe('written a moment before');
    await woken.kill();
  },
  240_000,
);

test.concurrent(
  'a kill pre-empts a shutdown',
  async () => {
    const id = await api.create({ timeout: 600 });
    const client = await clientOf(service, id);
    await client.commands.run('systemctl mask --now systemd-logind.service', { user: 'root' });
    const pausing = api.call('POST', `/sandboxes/${id}/pause`, { memory: false });
    await expect.poll(async () => (await detail(id)).state, { timeout: 60_000 }).toBe('paused');
    expect(await live(id)).toBe(true);
    expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
    // 204 would be the end of the shutdown.
    expect((await pausing).status).toBe(404);
    expect(await live(id)).toBe(false);
    expect(await readdir(path.join(service.config.stateDir, 'sandboxes'))).not.toContain(id);
  },
  240_000,
);
