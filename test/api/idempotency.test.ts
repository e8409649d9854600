import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld, type Answer } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.waitsFor.clear();
  world.asked = 0;
  world.report.free = { memoryMiB: 4096, diskMiB: 9000 };
});

const create = (body: object, key = 'again-1', headers: Record<string, string> = {}): Promise<Answer> =>
  world.api('POST', '/v2/sandboxes', { templateID: 'base', ...body }, { 'idempotency-key': key, ...headers });

describe('creates with one Idempotency-Key', () => {
  test('yield one sandbox of each tenant, and one answer', async () => {
    const [first, second] = [await create({}), await create({})];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body).toEqual(first.body);
    expect(first.body.sandboxID).toMatch(/^i[a-z0-9]{20}$/);
    const other = await create({}, 'again-1', { 'x-api-key': 'key-b' });
    expect(other.body.sandboxID).not.toBe(first.body.sandboxID);
    expect(world.views.size).toBe(2);
  });

  test('after Temporal has forgotten the first one make another sandbox, with the same id and other tokens', async () => {
    const tokens = ({ body }: Answer): unknown[] => [body.envdAccessToken, body.trafficAccessToken];
    const restricted = { network: { allowPublicTraffic: false } };
    const first = await create(restricted);
    world.views.clear();
    const second = await create(restricted);
    expect(second.body.sandboxID).toBe(first.body.sandboxID);
    for (const token of tokens(first)) {
      expect(typeof token).toBe('string');
      expect(tokens(second)).not.toContain(token);
    }
  });

  test('at the same time are one create', async () => {
    world.waitsFor.set('create', () => world.asked === 5);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => create({ envVars: { A: '1' } })));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    expect(world.countOf('create')).toBe(1);
  });

  test('with another request each are refused, the first one stands', async () => {
    const { body } = await create({ envVars: { A: '1', B: '2' }, timeout: 60 });
    for (const change of [
      { envVars: { A: '1', B: '3' }, timeout: 60 },
      { envVars: { A: '1', B: '2' } },
      { metadata: { a: '1' } },
    ]) {
      const refused = await create(change);
      expect([refused.status, refused.body.code]).toEqual([409, 409]);
      expect(refused.body.message).toContain(body.sandboxID);
    }
    expect((await create({ timeout: 60, metadata: {}, envVars: { B: '2', A: '1' } })).body).toEqual(body);
    expect(world.views.size).toBe(1);
  });

  test('with another request at the same time are told apart too', async () => {
    world.waitsFor.set('create', () => world.asked === 2);
    const answers = await Promise.all([create({}), create({ timeout: 60 })]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(world.views.size).toBe(1);
  });

  test('repeat the answer when there is no room for another sandbox', async () => {
    const first = await create({});
    world.report.free = { memoryMiB: 0, diskMiB: 0 };
    expect((await create({})).body).toEqual(first.body);
    expect((await create({}, 'again-2')).status).toBe(429);
  });

  test('do not bring back a sandbox that has ended', async () => {
    const { body } = await create({});
    const view = world.views.get(body.sandboxID)!;
    world.views.set(body.sandboxID, { ...view, status: 'killed', reason: 'killed as asked' });
    const refused = await create({});
    expect([refused.status, refused.body.code]).toEqual([409, 409]);
    expect(refused.body.message).toMatch(/has ended \(killed as asked\)/);
  });

  test('keep what was asked for out of what people can read', async () => {
    const { body } = await create({ envVars: { K: 'marker-value' } });
    const { spec } = world.views.get(body.sandboxID)!;
    expect(spec.requestDigest).toMatch(/^[0-9a-f]{64}$/);
    expect(JSON.stringify(spec)).not.toContain('marker-value');
    const plain = await world.api('POST', '/v2/sandboxes', { templateID: 'base' });
    expect(world.views.get(plain.body.sandboxID)?.spec.requestDigest).toBeUndefined();
  });

  test.each(['', 'UPPER', 'with space', 'a_b', 'a'.repeat(256)])(
    'are refused with a key of the form "%s"',
    async (key) => {
      const { status, body } = await create({}, key);
      expect([status, body.code]).toEqual([400, 400]);
      expect(world.countOf('create')).toBe(0);
    },
  );

  test('take the longest key', async () => {
    expect((await create({}, 'a'.repeat(255))).status).toBe(201);
  });
});
