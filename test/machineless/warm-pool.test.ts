import { readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { domainName } from '../../activities/machine.js';
import { ApiClient } from '../e2e/api-client.js';
import { warmMachines } from '../e2e/warm-machines.js';
import { MachinelessService } from './machineless-service.js';

const SIZE = 2;
/** So many sandboxes fill the host, while a test says so: those with a machine, and those that it is promised to. */
let most = Infinity;
const reserved = {
  get memoryMiB() {
    return most < Infinity && readdirSync(sandboxes()).length >= most ? 1e9 : 0;
  },
  diskMiB: 0,
};

let service: MachinelessService;
let api: ApiClient;
beforeAll(async () => {
  service = await MachinelessService.start(550, { warmPool: SIZE, reserved });
  api = new ApiClient(service);
}, 120_000);
afterAll(() => service.end());

const sandboxes = (): string => path.join(service.config.stateDir, 'sandboxes');

/** Ids of the warm machines that run. */
const warm = async (): Promise<string[]> => (await warmMachines(service.config.stateDir)).map(({ id }) => id).sort();

const full = (): Promise<void> => expect.poll(async () => (await warm()).length, { timeout: 30_000 }).toBe(SIZE);
const bootId = (id: string): string | undefined => service.machines.bootIdOf(domainName(id));
const kill = async (id: string): Promise<void> =>
  expect((await api.call('DELETE', `/sandboxes/${id}`)).status).toBe(204);
const listed = async (): Promise<string[]> =>
  ((await api.call('GET', '/v2/sandboxes')).body as { sandboxID: string }[]).map(({ sandboxID }) => sandboxID).sort();

test('the pool fills, and nothing of it can be seen or reached', async () => {
  await full();
  expect(await listed()).toEqual([]);
  for (const id of await warm()) {
    expect(await api.state(id)).toBe(404);
    for (const [method, verb] of [
      ['POST', '/pause'],
      ['DELETE', ''],
    ] as const)
      expect((await api.call(method, `/sandboxes/${id}${verb}`)).status).toBe(404);
    expect((await api.call('POST', `/sandboxes/${id}/connect`, { timeout: 30 })).status).toBe(404);
    const { proxyPort } = service.config;
    const visit = await fetch(`http://127.0.0.1:${proxyPort}/`, { headers: { host: `49983-${id}.localhost` } });
    expect(visit.status).not.toBe(200);
  }
  expect((await warm()).length).toBe(SIZE);
});

test('a create takes a machine that runs, and the pool is filled again', async () => {
  const before = await warm();
  const boots = before.map(bootId);
  const answer = await api.call('POST', '/sandboxes', { templateID: 'base', timeout: 300, metadata: { of: 'mine' } });
  expect(answer.status).toBe(201);
  const id = (answer.body as { sandboxID: string }).sandboxID;
  expect(before).toContain(id);
  expect(boots).toContain(bootId(id));
  expect(await listed()).toEqual([id]);
  expect((await api.call('GET', `/sandboxes/${id}`)).body).toMatchObject({
    metadata: { of: 'mine' },
    state: 'running',
  });
  await full();
  expect(await warm()).not.toContain(id);
  const woken = bootId(id);
  expect((await api.call('POST', `/sandboxes/${id}/pause`)).status).toBe(204);
  expect((await api.call('POST', `/sandboxes/${id}/connect`, { timeout: 300 })).status).toBe(201);
  expect(bootId(id)).toBe(woken);
  await kill(id);
});

test('creates at the same time never share a machine, and those for which there is none are made', async () => {
  await full();
  const ids = await Promise.all(Array.from({ length: 8 }, () => api.create()));
  expect(new Set(ids).size).toBe(8);
  expect(new Set(ids.map(bootId)).size).toBe(8);
  expect(await listed()).toEqual([...ids].sort());
  await Promise.all(ids.map(kill));
});

test('a create with an Idempotency-Key gets the sandbox of its key', async () => {
  await full();
  const before = await warm();
  const headers = { 'idempotency-key': 'the-same' };
  const create = () => api.call('POST', '/sandboxes', { templateID: 'base' }, undefined, headers);
  const [one, other] = [await create(), await create()];
  expect([one.status, other.status, other.body]).toEqual([201, 201, one.body]);
  const id = (one.body as { sandboxID: string }).sandboxID;
  expect(before).not.toContain(id);
  await kill(id);
});

test('after the end of any role the pool goes on with the machines that are there', async () => {
  await full();
  const before = await warm();
  await service.crash('control-worker');
  await service.restartHost();
  await service.crash('api');
  await expect.poll(() => api.state('none').catch(() => 'away'), { timeout: 20_000 }).toBe(404);
  expect(await warm()).toEqual(before);
  const id = await api.create();
  expect(before).toContain(id);
  await kill(id);
}, 60_000);

test('a create to which a dead machine was given gets another, and the pool a new one', async () => {
  await full();
  const dead = await warm();
  for (const id of dead) await service.machines.destroy(domainName(id));
  const id = await api.create();
  expect(dead).not.toContain(id);
  expect(bootId(id)).toBeDefined();
  await expect
    .poll(async () => (await warm()).filter((one) => !dead.includes(one)).length, { timeout: 30_000 })
    .toBe(2);
  for (const one of dead) expect(await api.state(one)).toBe(404);
  await kill(id);
}, 60_000);

test('a sandbox that needs the room gets that of a warm machine', async () => {
  await full();
  const before = await warm();
  most = before.length;
  try {
    // With a key, so that it takes none of them over.
    const headers = { 'idempotency-key': 'room' };
    const { status, body } = await api.call('POST', '/sandboxes', { templateID: 'base' }, undefined, headers);
    expect([status, body]).toMatchObject([201, {}]);
    expect((await warm()).length).toBeLessThan(before.length);
    await kill((body as { sandboxID: string }).sandboxID);
  } finally {
    most = Infinity;
  }
}, 60_000);

test('a smaller pool gives up what is too much, and none leaves nothing but the sandboxes', async () => {
  await full();
  const id = await api.create();
  await full();
  const before = await warm();
  await service.restartHost({ warmPool: 1 });
  await expect.poll(async () => (await warm()).length).toBe(1);
  expect(before).toEqual(expect.arrayContaining(await warm()));
  await service.restartHost({ warmPool: 0 });
  await expect.poll(() => readdir(sandboxes())).toEqual([id]);
  expect([await api.state(id), await service.machines.list(domainName(''))]).toEqual(['running', [domainName(id)]]);
  await kill(id);
}, 60_000);
