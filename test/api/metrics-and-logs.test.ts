import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { LogEntry, MetricSample } from '../../src/gateway/wire.js';
import { FakeWorld } from './fake-world.js';

const AT = Date.parse('2026-01-02T03:04:05.678Z');
const sample = (at: number): MetricSample => ({
  ...{ at, cpuCount: 2, cpuUsedPct: 12.5, memTotal: 500, memUsed: 200, memCache: 100, diskTotal: 90, diskUsed: 10 },
});
const entry = (at: number, message: string, level: LogEntry['level'] = 'info'): LogEntry => ({
  ...{ at, message, level, fields: { source: 'host' } },
});

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.samples.clear();
  world.entries.clear();
  world.add('i1');
  world.add('i2', { status: 'paused' });
  world.add('i3', {}, { tenant: 'b' });
});

const get = (path: string) => world.api('GET', path);

describe('the metrics of a sandbox', () => {
  beforeEach(() =>
    world.samples.set(
      'i1',
      [0, 1000, 2000, 3000].map((ms) => sample(AT + ms)),
    ),
  );
  const times = async (query: string): Promise<number[]> =>
    (await get(`/sandboxes/i1/metrics${query}`)).body.map(
      ({ timestamp }: { timestamp: string }) => (Date.parse(timestamp) - AT) / 1000,
    );

  test('have every field that the clients require', async () => {
    expect((await get('/sandboxes/i1/metrics')).body[0]).toEqual({
      ...{ timestamp: '2026-01-02T03:04:05.678Z', timestampUnix: Math.floor(AT / 1000), cpuCount: 2, cpuUsedPct: 12.5 },
      ...{ memUsed: 200, memTotal: 500, memCache: 100, diskUsed: 10, diskTotal: 90 },
    });
  });

  test('are cut by start and end, in seconds as most clients send them and in milliseconds as one does', async () => {
    const seconds = Math.floor(AT / 1000);
    expect(await times('')).toEqual([0, 1, 2, 3]);
    expect(await times(`?start=${seconds + 1}&end=${seconds + 2}`)).toEqual([1, 2]);
    expect(await times(`?start=${AT + 1}&end=${AT + 2000}`)).toEqual([1, 2]);
    expect(await times(`?end=${seconds}`)).toEqual([0]);
    expect(await times(`?start=${seconds + 100}`)).toEqual([]);
  });

  test.each(['start=soon', 'end=-5', 'start=1&start=2', 'end=1e9'])('are refused with %s', async (query) => {
    const { status, body } = await get(`/sandboxes/i1/metrics?${query}`);
    expect([status, body.code]).toEqual([400, 400]);
  });

  test('are there while it is paused, empty when there are none, and nobody else’s', async () => {
    world.samples.set('i2', [sample(AT)]);
    expect((await get('/sandboxes/i2/metrics')).body).toHaveLength(1);
    world.samples.clear();
    expect((await get('/sandboxes/i1/metrics')).body).toEqual([]);
    for (const path of ['/sandboxes/i3/metrics', '/sandboxes/i9/metrics']) expect((await get(path)).status).toBe(404);
  });
});

describe('the newest metrics of many sandboxes', () => {
  test('are those of the caller that have any', async () => {
    for (const id of ['i1', 'i2', 'i3']) world.samples.set(id, [sample(AT), sample(AT + 1000)]);
    world.add('i4');
    const { status, body } = await get('/sandboxes/metrics?sandbox_ids=i1%2Ci2,i3,i4,i9');
    expect(status).toBe(200);
    expect(Object.keys(body.sandboxes).sort()).toEqual(['i1', 'i2']);
    expect(body.sandboxes.i1.timestamp).toBe('2026-01-02T03:04:06.678Z');
  });

  test.each([
    ['none', ''],
    ['too many', new Array(101).fill('i1').join(',')],
    ['one that is no id', 'i1,../host'],
  ])('are refused for %s', async (_what, ids) => {
    expect((await get(`/sandboxes/metrics?sandbox_ids=${ids}`)).status).toBe(400);
  });
});

describe('the log of a sandbox', () => {
  beforeEach(() =>
    world.entries.set('i1', [
      entry(AT, 'sandbox created'),
      entry(AT + 1, 'process started', 'debug'),
      entry(AT + 2, 'pause failed', 'error'),
      entry(AT + 3, 'sandbox paused'),
    ]),
  );
  const messages = async (query: string): Promise<string[]> =>
    (await get(`/v2/sandboxes/i1/logs${query}`)).body.logs.map(({ message }: LogEntry) => message);

  test('is there as lines and as entries in v1, from start on', async () => {
    const { body } = await get(`/sandboxes/i1/logs?start=${AT + 2}&limit=1`);
    const timestamp = '2026-01-02T03:04:05.680Z';
    expect(body).toEqual({
      logs: [{ timestamp, line: '{"level":"error","message":"pause failed","source":"host"}' }],
      logEntries: [{ timestamp, message: 'pause failed', level: 'error', fields: { source: 'host' } }],
    });
  });

  test('goes either way from a cursor, and can be read on from there', async () => {
    expect(await messages('?limit=2')).toEqual(['sandbox created', 'process started']);
    expect(await messages(`?limit=2&cursor=${AT + 2}`)).toEqual(['pause failed', 'sandbox paused']);
    expect(await messages('?direction=backward&limit=3')).toEqual([
      'sandbox paused',
      'pause failed',
      'process started',
    ]);
    expect(await messages(`?direction=backward&cursor=${AT + 1}`)).toEqual(['sandbox created']);
  });

  test('is filtered by the least level and by words in the message', async () => {
    expect(await messages('?level=info')).toEqual(['sandbox created', 'pause failed', 'sandbox paused']);
    expect(await messages('?level=error')).toEqual(['pause failed']);
    expect(await messages('?search=sandbox')).toEqual(['sandbox created', 'sandbox paused']);
    expect(await messages('?search=Sandbox')).toEqual([]);
  });

  test.each(['limit=0', 'limit=1001', 'cursor=now', 'direction=up', 'level=loud'])(
    'is refused with %s',
    async (query) => {
      const { status, body } = await get(`/v2/sandboxes/i1/logs?${query}`);
      expect([status, body.code]).toEqual([400, 400]);
    },
  );

  test('is nobody else’s', async () => {
    expect((await get('/sandboxes/i3/logs')).status).toBe(404);
    expect((await get('/v2/sandboxes/i3/logs')).status).toBe(404);
  });
});
