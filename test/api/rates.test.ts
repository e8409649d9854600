import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { FakeWorld, type Answer } from './fake-world.js';
import { runPypiClient } from './pypi-client.js';

const MS = 1_000;

let world: FakeWorld;
let now = 0;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.waitsFor.clear();
  world.limits = {};
  // No bucket of an earlier test is anything but full.
  now += 3_600 * MS;
  world.clock = () => now;
});

const list = (headers = {}): Promise<Answer> => world.api('GET', '/v2/sandboxes', undefined, headers);
const create = (headers = {}): Promise<Answer> => world.api('POST', '/v2/sandboxes', { templateID: 'base' }, headers);
const ofB = { 'x-api-key': 'key-b' };

function expectTooMany(answer: Answer, seconds: string, text: RegExp): void {
  expect([answer.status, answer.body.code, answer.body.message]).toEqual([429, 429, expect.stringMatching(text)]);
  expect([answer.headers.get('retry-after'), answer.headers.get('should-retry')]).toEqual([seconds, null]);
}

test('more requests than a tenant may send in a second are refused, and told when to come again; others go on', async () => {
  world.limits = { a: { requestsPerSecond: 2 } };
  expect([(await list()).status, (await list()).status]).toEqual([200, 200]);
  expectTooMany(await list(), '1', /limit of requests per second is reached\. Nothing was done; try again in 1 s/);
  expect((await list(ofB)).status).toBe(200);
  now += 500;
  expect((await list()).status).toBe(200);
});

test('a request without a key is of no tenant, and costs none anything', async () => {
  world.limits = { a: { requestsPerSecond: 1 } };
  expect((await list({ 'x-api-key': 'nobody' })).status).toBe(401);
  expect((await list()).status).toBe(200);
});

test('creates have a rate of their own; other calls go on', async () => {
  world.limits = { a: { createsPerMinute: 1 } };
  expect((await create()).status).toBe(201);
  expectTooMany(await create(), '60', /creates per minute is reached/);
  expect([(await list()).status, (await create(ofB)).status]).toEqual([200, 201]);
  now += 60 * MS;
  expect((await create()).status).toBe(201);
});

test('a repeat by its Idempotency-Key is no other create', async () => {
  world.limits = { a: { createsPerMinute: 1 } };
  for (let times = 0; times < 3; times++) expect((await create({ 'idempotency-key': 'once' })).status).toBe(201);
  expectTooMany(await create({ 'idempotency-key': 'twice' }), '60', /creates per minute/);
});

test('calls that are not answered yet are open connections', async () => {
  world.limits = { a: { connections: 1 } };
  let goOn = false;
  world.waitsFor.set('create', () => goOn);
  const first = create();
  await expect.poll(() => world.countOf('create')).toBe(1);
  expectTooMany(await list(), '1', /open connections .* is reached/);
  expect((await list(ofB)).status).toBe(200);
  goOn = true;
  expect((await first).status).toBe(201);
  await expect.poll(async () => (await list()).status).toBe(200);
});

test('e2b from PyPI waits as long as it is told, and goes on', async () => {
  world.limits = { a: { requestsPerSecond: 1 } };
  world.clock = () => performance.now() + now;
  const program = 'from e2b import Sandbox\nfor _ in range(3): Sandbox.create()';
  await runPypiClient(world.apiUrl, program);
  expect(world.views.size).toBe(3);
  now += 3_600 * MS;
}, 300_000);
