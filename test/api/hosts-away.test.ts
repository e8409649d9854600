import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accessToken } from '../../src/keys/access-token.js';
import { signFile } from '../../src/keys/file-signature.js';
import { FakeWorld, TOKENS_KEY } from './fake-world.js';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});
afterEach(() => world.stop());

/** A host that does not answer, beside the one that does. */
const AWAY = { hostId: 'h2', url: 'http://127.0.0.1:1' };

describe('while a host does not answer', () => {
  test('a signature that is of no sandbox elsewhere is a 503, however often, and one that is passes', async () => {
    await world.start([AWAY]);
    world.add('i1');
    await world.serveGuest((_request, response) => void response.end('file'));
    const ask = (signature: string): Promise<Response> =>
      fetch(`${world.proxyUrl}/files?${new URLSearchParams({ path: '/a', signature })}`);
    for (let count = 0; count < 35; count += 1) expect((await ask('v1_x')).status).toBe(503);
    const file = { path: '/a', operation: 'read', user: '', expiration: undefined } as const;
    expect((await ask(signFile(file, accessToken(TOKENS_KEY, { id: 'i1' })))).status).toBe(200);
  });

  test('what is known of a sandbox of another host is brought up to date without asking that one', async () => {
    let asked = 0;
    const silent = createServer((_request, response) => {
      asked += 1;
      if (asked === 1) response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await world.start([{ hostId: 'h2', url: `http://127.0.0.1:${port}` }]);
    world.add('i1');
    const { directory } = world;
    expect((await directory.locate('i1'))?.owner.tokenNonce).toBeUndefined();
    world.add('i1', {}, { tokenNonce: 'ab'.repeat(16) });
    expect(await directory.locate('i1', 0)).toMatchObject({ hostId: 'h1', owner: { tokenNonce: 'ab'.repeat(16) } });
    expect(asked).toBe(1);
    world.views.clear();
    await expect(directory.locate('i1', 0)).rejects.toThrow('h2');
    silent.closeAllConnections();
    silent.close();
  });

  test('what its sandboxes were when it last answered counts against their tenant’s quotas', async () => {
    const sandbox = { id: 'far', cpus: 2, memoryMiB: 512, diskMiB: 4096, fallsAsleep: false };
    const use = { awake: [sandbox], asleep: { count: 0, diskMiB: 0, bytes: 0 } };
    const other = createServer((request, response) => {
      if (request.url?.startsWith('/internal/use') === true) response.end(JSON.stringify(use));
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    await world.start([{ hostId: 'h2', url: `http://127.0.0.1:${(other.address() as AddressInfo).port}` }]);
    world.limits = { a: { runningSandboxes: 2 } };
    const create = async (): Promise<number> => (await world.api('POST', '/sandboxes', { templateID: 'base' })).status;
    expect([await create(), await create()]).toEqual([201, 429]);
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
    expect(await create()).toBe(429);
    world.limits = { a: { runningSandboxes: 3 } };
    expect(await create()).toBe(201);
  });

  test('or is of a version that does not know the question, its part counts as missing', async () => {
    const older = createServer((_request, response) => void response.writeHead(404).end('{"code":404}'));
    await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve));
    await world.start([{ hostId: 'h2', url: `http://127.0.0.1:${(older.address() as AddressInfo).port}` }]);
    const { directory } = world;
    for (const { missing } of [await directory.newest(10), await directory.uses('a')]) expect(missing).toEqual(['h2']);
    older.closeAllConnections();
    older.close();
  });

  test('metrics of many say whose part is missing', async () => {
    await world.start([AWAY]);
    const { status, headers, body } = await world.api('GET', '/sandboxes/metrics?sandbox_ids=i1');
    expect([status, headers.get('x-dormouse-missing-hosts'), body]).toEqual([200, 'h2', { sandboxes: {} }]);
  });

  test('metrics of many are refused where none does', async () => {
    await world.start();
    world.gateway.closeAllConnections();
    world.gateway.close();
    const { status, body } = await world.api('GET', '/sandboxes/metrics?sandbox_ids=i1');
    expect([status, body.code]).toEqual([503, 503]);
  });
});

test('a host tells of templates’ uses and of signatures’ owners in rows, not in whole sandboxes', async () => {
  await world.start();
  const metadata = { note: 'x'.repeat(1_000) };
  world.add('i1', { startedAt: 1 }, { metadata });
  world.add('i2', { startedAt: 3 }, { metadata, tokenNonce: 'ab'.repeat(16) });
  world.add('i3', { startedAt: 2, status: 'killing' }, { metadata });
  world.add('i4', { startedAt: 9 }, { metadata, tenant: 'b' });
  const ask = async (path: string): Promise<unknown> =>
    (await fetch(world.gatewayUrl + path, { headers: { 'x-dormouse-gateway-token': 'ab'.repeat(32) } })).json();
  expect(await ask('/internal/newest?most=2')).toEqual({
    newest: [
      { id: 'i4', startedAt: 9 },
      { id: 'i2', startedAt: 3, tokenNonce: 'ab'.repeat(16) },
    ],
  });
  expect(await ask('/internal/uses?tenant=a')).toEqual({ uses: { k1: { count: 2, lastAt: 3 } } });
  expect(await ask('/internal/newest?most=all')).toMatchObject({ code: 400 });
});

test('templates are looked up without a list of the sandboxes', async () => {
  await world.start();
  world.add('i1');
  world.directory.list = () => Promise.reject(new Error('asked for all sandboxes'));
  for (const path of ['/templates', '/v2/templates', '/templates/base', '/templates/aliases/base']) {
    expect((await world.api('GET', path)).status).toBe(200);
  }
});
