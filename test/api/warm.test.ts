import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openField } from '../../src/keys/sealed-field.js';
import { FakeWorld, FIELDS_KEY, type Answer } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());

let made = 0;
/** Every machine has an id of its own: an api asks for none twice. */
const warm = (count: number, templateKey = 'k1') =>
  Array.from({ length: count }, () => ({ id: `iwarm${++made}`, templateKey }));

beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.failNext.clear();
  world.delayMs = 0;
  world.waitsFor.clear();
  world.report.free = { memoryMiB: 4096, diskMiB: 9000 };
  world.report.warm = [];
});

const create = (body: object = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  world.api('POST', '/v2/sandboxes', { templateID: 'base', ...body }, headers);
const verbs = (): string[] => world.calls.map(({ verb }) => verb);

describe('a create', () => {
  test('takes a warm machine, with all that it asked for, and answers as ever', async () => {
    const [machine] = (world.report.warm = warm(1));
    const { status, body } = await create({
      ...{ envVars: { A: 'secret' }, metadata: { m: '1' }, timeout: 60, autoPause: true },
      ...{ allow_internet_access: false, network: { allowPublicTraffic: false } },
    });
    expect([status, body.sandboxID]).toEqual([201, machine!.id]);
    expect(Object.keys(body).sort()).toEqual(Object.keys((await create()).body).sort());
    expect(verbs()).toEqual(['assign', 'create']);
    const { spec } = world.views.get(machine!.id)!;
    expect(spec).toMatchObject({
      ...{ tenant: 'a', hostId: 'h1', templateKey: 'k1', metadata: { m: '1' }, timeoutMs: 60_000, onTimeout: 'pause' },
      ...{ allowInternetAccess: false, allowPublicTraffic: false },
    });
    expect(spec.warm).toBeUndefined();
    expect(openField(FIELDS_KEY, machine!.id, 'envVars', spec.sealedEnv!)).toBe('{"A":"secret"}');
  });

  test('takes one also when there is no room for another sandbox', async () => {
    world.report.free = { memoryMiB: 0, diskMiB: 0 };
    world.report.warm = warm(1);
    expect([(await create()).status, (await create()).status]).toEqual([201, 429]);
  });

  test('with an Idempotency-Key takes none', async () => {
    world.report.warm = warm(1);
    const headers = { 'idempotency-key': 'k' };
    const [first, second] = [await create({}, headers), await create({}, headers)];
    expect([first.status, second.status, second.body]).toEqual([201, 201, first.body]);
    expect(world.countOf('assign')).toBe(0);
    expect(world.report.warm).toHaveLength(1);
  });

  test('takes none of another template build', async () => {
    world.report.warm = warm(1, 'k0');
    expect((await create()).status).toBe(201);
    expect(verbs()).toEqual(['create']);
  });

  test('at the same time as others never shares one, and those that get none are made', async () => {
    const machines = (world.report.warm = warm(3));
    // No machine is had before all six have asked.
    world.waitsFor.set('assign', () => world.countOf('create') === 3);
    const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(() => create()));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201));
    const ids = answers.map(({ body }) => body.sandboxID as string);
    expect(new Set(ids).size).toBe(6);
    for (const { id } of machines) expect(ids).toContain(id);
    expect([world.countOf('assign'), world.countOf('create')]).toEqual([3, 3]);
  });

  test.each(['NotWarm', 'NotFound'] as const)('tries the next one after %s', async (code) => {
    const [, second] = (world.report.warm = warm(2));
    world.failNext.set('assign', code);
    expect((await create()).body.sandboxID).toBe(second!.id);
    expect(verbs()).toEqual(['assign', 'assign']);
  });

  test.each(['CreateFailed', 'HostFailure', 'TooManyRequests'] as const)(
    'makes a machine after a warm one failed with %s',
    async (code) => {
      const machines = (world.report.warm = warm(2));
      world.failNext.set('assign', code);
      const { status, body } = await create();
      expect(status).toBe(201);
      expect(machines.map(({ id }) => id)).not.toContain(body.sandboxID);
      expect(verbs()).toEqual(['assign', 'create']);
    },
  );

  test('of unknown outcome says so, with the id, makes no second sandbox, and leaves that machine to nobody else', async () => {
    const [machine] = (world.report.warm = warm(1));
    world.failNext.set('assign', 'OutcomeUnknown');
    const { status, body, headers } = await create();
    expect([status, headers.get('should-retry')]).toEqual([504, 'false']);
    expect(body.message).toContain(`sandbox ${machine!.id} may or may not come up`);
    expect(world.countOf('create')).toBe(0);
    await expect.poll(() => world.countOf('discard')).toBe(1);
    expect(world.report.warm).toEqual([]);
  });

  test('is answered 503 when Temporal is away, and the machine can be had afterwards', async () => {
    const [machine] = (world.report.warm = warm(1));
    world.failNext.set('assign', 'Unavailable');
    expect((await create()).status).toBe(503);
    expect((await create()).body.sandboxID).toBe(machine!.id);
  });

  test('that comes before a machine is ready leaves it to the next one', async () => {
    const [machine] = (world.report.warm = warm(1));
    world.failNext.set('assign', 'NotWarm');
    expect((await create()).body.sandboxID).not.toBe(machine!.id);
    expect((await create()).body.sandboxID).toBe(machine!.id);
  });

  test('whose sandbox was killed meanwhile answers 404, as every create, and makes no other', async () => {
    world.report.warm = warm(1);
    world.failNext.set('assign', 'Superseded');
    expect((await create()).status).toBe(404);
    expect(world.countOf('create')).toBe(0);
  });
});

test('a warm machine is not found by any verb, also not by its workflow', async () => {
  world.add('iwarm', {}, { warm: true, tenant: 'a' });
  for (const [method, path] of [
    ...[['GET', ''] as const, ['DELETE', ''] as const, ['POST', '/pause'] as const],
    ...[['POST', '/connect'] as const, ['POST', '/timeout'] as const, ['GET', '/metrics'] as const],
    ['GET', '/logs'] as const,
  ]) {
    const body = method === 'POST' && path !== '/pause' ? { timeout: 30 } : undefined;
    expect([path, (await world.api(method, `/sandboxes/iwarm${path}`, body)).status]).toEqual([path, 404]);
  }
  expect(verbs().filter((verb) => verb !== 'get')).toEqual([]);
});
