import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient } from '../e2e/api-client.js';
import { MachinelessService } from './machineless-service.js';

let service: MachinelessService;
let api: ApiClient;
beforeAll(async () => {
  service = await MachinelessService.start(400);
  api = new ApiClient(service);
}, 120_000);
afterAll(() => service.end());

/** Ids of all sandboxes that there are. */
async function sandboxes(): Promise<string[]> {
  const { body } = await api.call('GET', '/v2/sandboxes');
  return (body as { sandboxID: string }[]).map((sandbox) => sandbox.sandboxID);
}

const create = (): Promise<{ status: number; body: unknown }> =>
  api.call('POST', '/sandboxes', { templateID: 'base', timeout: 300 });

/** Which sandbox an answer to a create tells the client to look at. */
const idIn = (body: unknown): string | undefined =>
  (body as { sandboxID?: string }).sandboxID ??
  /sandbox ([a-z0-9]+) may or may not come up/.exec((body as { message: string }).message)?.[1];

/** A kill repeated until it is answered, as a client does while Temporal comes back. One that timed out may have worked. */
async function kill(id: string): Promise<void> {
  let gone = [204];
  const isGone = async (): Promise<boolean> => {
    const { status } = await api.call('DELETE', `/sandboxes/${id}`);
    if (status === 504) gone = [204, 404];
    return gone.includes(status);
  };
  await expect.poll(isGone, { timeout: 60_000, interval: 500 }).toBe(true);
}

describe('while Temporal is away', () => {
  let id: string;
  beforeAll(async () => {
    id = await api.create();
    await service.stopTemporal();
  });
  test.concurrent.each([
    ['create', 'POST', '/sandboxes', { templateID: 'base' }],
    ['pause', 'POST', '/sandboxes/ID/pause', undefined],
    ['connect', 'POST', '/sandboxes/ID/connect', { timeout: 30 }],
    ['set timeout', 'POST', '/sandboxes/ID/timeout', { timeout: 30 }],
    ['kill', 'DELETE', '/sandboxes/ID', undefined],
  ])('%s is answered meanwhile with 503 in JSON: nothing was done', async (_verb, method, path, body) => {
    const answer = await api.call(method, path.replace('ID', id), body);
    const message = expect.stringMatching(/Temporal cannot be reached; nothing was done/);
    expect(answer).toMatchObject({ status: 503, body: { code: 503, message } });
  });

  test('get and list answer as ever, and the machine runs on', async () => {
    expect(await api.state(id)).toBe('running');
    expect(await sandboxes()).toEqual([id]);
  });

  test('everything works again by itself when it is back', async () => {
    await service.startTemporal();
    await kill(id);
    expect(await sandboxes()).toEqual([]);
  }, 90_000);
});

describe('when Temporal is killed during a create', () => {
  test('that it has accepted: there is one sandbox, and the answer names it', async () => {
    let release = (): void => undefined;
    service.machines.hold = new Promise((resolve) => (release = resolve));
    const creating = create();
    let id: string | undefined;
    try {
      id = await service.onlySandbox();
      await service.crashTemporal();
    } finally {
      release();
      service.machines.hold = undefined;
    }
    const { status, body } = await creating;
    expect([201, 504]).toContain(status);
    expect(idIn(body)).toBe(id);
    await expect.poll(() => api.state(id!), { timeout: 60_000 }).toBe('running');
    await kill(id!);
    expect(await sandboxes()).toEqual([]);
  }, 180_000);

  test.each([0, 10, 20, 40, 80])(
    '%i ms after it was asked for: one sandbox or none, and the answer tells which to look for',
    async (afterMs) => {
      const creating = create();
      await delay(afterMs);
      await service.crashTemporal();
      const { status, body } = await creating;
      const told = idIn(body);
      // Only a request that certainly had no effect is answered without an id.
      expect(told === undefined ? [503] : [201, 504]).toContain(status);
      await expect.poll(async () => (await create()).status, { timeout: 60_000, interval: 1_000 }).toBe(201);
      const others = (await sandboxes()).filter((id) => id !== told);
      if (told !== undefined)
        await expect
          .poll(() => api.state(told), { timeout: 60_000 })
          .toSatisfy((state) => [404, 'running'].includes(state as string));
      expect(status === 503 ? others.length : 1).toBe(1);
      for (const id of await sandboxes()) await kill(id);
    },
    180_000,
  );
});
