import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient } from './api-client.js';
import { clientOf } from './client-of.js';
import { startService, type RunningService } from './running-service.js';

const LIBVIRT_SOCKET = '/run/libvirt/libvirt-sock';

/** The service's own way to libvirt, which can be taken away; libvirt itself runs on for everyone else. */
class WayToLibvirt {
  #server: Server | undefined;
  readonly #connections = new Set<Socket>();

  constructor(readonly socket: string) {}

  async open(): Promise<void> {
    const server = createServer((client) => {
      const there = connect(LIBVIRT_SOCKET);
      for (const [from, to] of [
        [client, there],
        [there, client],
      ] as const) {
        this.#connections.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.once('close', () => {
          this.#connections.delete(from);
          to.destroy();
        });
      }
    });
    this.#server = server.listen(this.socket);
    await once(server, 'listening');
  }

  async close(): Promise<void> {
    this.#server?.close();
    for (const connection of this.#connections) connection.destroy();
    await rm(this.socket, { force: true });
  }
}

let directory: string;
let way: WayToLibvirt;
let service: RunningService;
let api: ApiClient;
beforeAll(async () => {
  directory = await mkdtemp('/tmp/dormouse-libvirt-');
  way = new WayToLibvirt(path.join(directory, 'socket'));
  await way.open();
  service = await startService('libvirt', 600, {
    DORMOUSE_LIBVIRT_URI: `qemu+unix:///system?socket=${way.socket}`,
    DORMOUSE_OVERLAY_POOL: '2',
  });
  api = new ApiClient(service);
}, 300_000);
afterAll(async () => {
  await service?.end();
  await way.close();
  await rm(directory, { recursive: true, force: true });
});

async function inGuest(id: string, command: string): Promise<string> {
  return (await (await clientOf(service, id)).commands.run(command)).stdout.trim();
}

describe('while libvirt does not answer', () => {
  let running: string;
  let paused: string;
  let doomed: string;

  test('running and paused sandboxes stay what they are, and the guests run on', async () => {
    [running, paused, doomed] = [await api.create(), await api.create(), await api.create()];
    await inGuest(running, 'echo kept > /dev/shm/note');
    await inGuest(paused, 'echo slept > /dev/shm/note');
    expect((await api.call('POST', `/sandboxes/${paused}/pause`)).status).toBe(204);
    await way.close();
    expect(await api.state(running)).toBe('running');
    expect(await api.state(paused)).toBe('paused');
    expect(await inGuest(running, 'cat /dev/shm/note')).toBe('kept');
  });

  test('a create fails with an error that names libvirt; what pause and connect come to is told, or told to be unknown', async () => {
    const [created, ...others] = await Promise.all([
      api.call('POST', '/sandboxes', { templateID: 'base' }),
      api.call('POST', `/sandboxes/${running}/pause`),
      api.call('POST', `/sandboxes/${paused}/connect`, { timeout: 300 }),
    ]);
    expect(created).toMatchObject({ status: 500, body: { code: 500, message: expect.stringMatching(/libvirt/) } });
    for (const { status, body } of others) {
      expect([500, 504]).toContain(status);
      expect(body).toMatchObject({ code: status, message: expect.stringMatching(/libvirt|not known yet/) });
    }
  }, 120_000);

  test('a kill says that it does not know yet', async () => {
    expect(await api.call('DELETE', `/sandboxes/${doomed}`)).toMatchObject({ status: 504, body: { code: 504 } });
  });

  test('once it answers again all of it works by itself: what was asked for is done, and nothing was lost', async () => {
    await way.open();
    const list = async (): Promise<Record<string, string>> => {
      const { body } = await api.call('GET', '/v2/sandboxes?state=running,paused');
      return Object.fromEntries((body as { sandboxID: string; state: string }[]).map((s) => [s.sandboxID, s.state]));
    };
    await expect
      .poll(list, { timeout: 100_000, interval: 1_000 })
      .toEqual({ [running]: 'paused', [paused]: 'running' });
    expect(await inGuest(paused, 'cat /dev/shm/note')).toBe('slept');
    expect(await inGuest(running, 'cat /dev/shm/note')).toBe('kept');
    expect((await api.call('POST', `/sandboxes/${paused}/pause`)).status).toBe(204);
    const fresh = await api.create();
    for (const id of [running, paused, fresh]) expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
  });
});
