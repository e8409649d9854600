import { lchown, lstat, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { PASST_DIRECTORY } from '../../src/libvirt/passt-files.js';
import { ApiClient } from './api-client.js';
import type { RunningService } from './running-service.js';

const VICTIM = path.join(PASST_DIRECTORY, '..', 'planted-by-a-test');

let service: RunningService;
let api: ApiClient;
beforeAll(async () => {
  service = inject('service') as RunningService;
  api = new ApiClient(service);
  await writeFile(VICTIM, 'untouched');
});
afterAll(() => rm(VICTIM, { force: true }));

test('a link that another sandbox’s user planted for the passt of a paused one is gone when that wakes', async () => {
  const id = await api.create();
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  const link = path.join(PASST_DIRECTORY, `999999-${domainName(id).slice(0, 20)}-net0-passt.pid`);
  await symlink(VICTIM, link);
  await lchown(link, service.config.uidBase + service.config.uidCount - 3, 0);
  try {
    expect((await api.connect(id)).status).toBe(201);
    await expect(lstat(link)).rejects.toThrow(/ENOENT/);
    expect(await readFile(VICTIM, 'utf8')).toBe('untouched');
  } finally {
    await rm(link, { force: true });
    await api.call('DELETE', `/sandboxes/${id}`);
  }
});
