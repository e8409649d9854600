import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { TemplateReport } from '../../src/gateway/wire.js';
import { FakeWorld } from './fake-world.js';

const build = (templateKey: string, names: string[], createdAt: number): TemplateReport => ({
  ...{ templateKey, names, createdAt, cpuCount: 2, memoryMiB: 512, diskMiB: 4096, envdVersion: '0.6.4' },
});

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => {
  world.views.clear();
  world.calls.length = 0;
  world.report.templates = [
    build('k1', ['base'], Date.parse('2026-01-01T00:00:00Z')),
    build('k2', ['base', 'python'], Date.parse('2026-02-01T00:00:00Z')),
    build('k3', ['other'], Date.parse('2026-01-15T00:00:00Z')),
  ];
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('the list of templates', () => {
  test('has one item per name, with the newest build, and every field that the clients require', async () => {
    world.add('i1', { startedAt: Date.parse('2026-03-01T00:00:00Z') }, { templateKey: 'k1' });
    world.add('i2', {}, { tenant: 'b', templateKey: 'k1' });
    const { status, body } = await world.api('GET', '/templates?teamID=whatever');
    expect(status).toBe(200);
    expect(body).toEqual([
      {
        ...{ templateID: 'base', buildID: expect.stringMatching(UUID), public: true },
        ...{ aliases: ['base', 'python'], names: ['base', 'python'], buildCount: 2, buildStatus: 'ready' },
        ...{ cpuCount: 2, memoryMB: 512, diskSizeMB: 4096, envdVersion: '0.6.4', createdBy: null, spawnCount: 1 },
        ...{ createdAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-02-01T00:00:00.000Z' },
        lastSpawnedAt: '2026-03-01T00:00:00.000Z',
      },
      expect.objectContaining({ templateID: 'other', spawnCount: 0, lastSpawnedAt: null, buildCount: 1 }),
    ]);
  });

  test('comes in pages in v2', async () => {
    const first = await world.api('GET', '/v2/templates?limit=1');
    expect(first.body.map((item: { templateID: string }) => item.templateID)).toEqual(['base']);
    const token = first.headers.get('x-next-token');
    const second = await world.api('GET', `/v2/templates?limit=1&nextToken=${encodeURIComponent(token ?? '')}`);
    expect(second.body.map((item: { templateID: string }) => item.templateID)).toEqual(['other']);
    expect(second.headers.get('x-next-token')).toBeNull();
    expect((await world.api('GET', '/v2/templates?nextToken=bm9uZQ')).status).toBe(400);
    expect((await world.api('GET', '/v2/templates?limit=101')).status).toBe(400);
  });

  test('is refused without a key', async () => {
    expect((await world.api('GET', '/templates', undefined, { 'x-api-key': 'wrong' })).status).toBe(401);
  });
});

describe('one template', () => {
  test.each(['base', 'python', 'base:default', 'a%2Fbase', 'a%2Fpython%3Adefault', 'k1'])(
    'is found as %s, with its builds',
    async (name) => {
      const { status, body } = await world.api('GET', `/templates/${name}`);
      expect(status).toBe(200);
      expect(body).toMatchObject({ templateID: 'base', names: ['base', 'python'], public: true });
      expect(body.builds).toHaveLength(2);
      expect(body.builds[0]).toEqual({
        ...{ buildID: expect.stringMatching(UUID), status: 'ready', cpuCount: 2, memoryMB: 512, diskSizeMB: 4096 },
        ...{ envdVersion: '0.6.4', createdAt: '2026-02-01T00:00:00.000Z', updatedAt: '2026-02-01T00:00:00.000Z' },
        finishedAt: '2026-02-01T00:00:00.000Z',
      });
    },
  );

  test.each(['nope', 'base:v2', 'b%2Fbase', 'a%2Fb%2Fbase', '%3Adefault'])('is not found as %s', async (name) => {
    const { status, body } = await world.api('GET', `/templates/${name}`);
    expect([status, body.code]).toEqual([404, 404]);
  });

  test('exists by alias, or does not', async () => {
    expect(await world.api('GET', '/templates/aliases/python')).toMatchObject({
      status: 200,
      body: { templateID: 'base', public: true },
    });
    expect((await world.api('GET', '/templates/aliases/nope')).body.code).toBe(404);
  });
});

describe('a template that a create names', () => {
  test.each([
    ['python', 'k2'],
    ['base:default', 'k2'],
    ['a/base', 'k2'],
    ['a/base:default', 'k2'],
    ['k1', 'k1'],
  ])('as %s is that of key %s, and is shown by its id', async (templateID, templateKey) => {
    const { status, body } = await world.api('POST', '/v2/sandboxes', { templateID });
    expect([status, body.templateID, body.alias]).toEqual([201, 'base', 'base']);
    expect(world.views.get(body.sandboxID)?.spec.templateKey).toBe(templateKey);
  });

  test.each(['base:v2', 'b/base', 'base:', '/base'])('as %s is not found', async (templateID) => {
    expect((await world.api('POST', '/v2/sandboxes', { templateID })).status).toBe(404);
    expect(world.countOf('create')).toBe(0);
  });

  test('can be listed by each of its names', async () => {
    const { body } = await world.api('POST', '/v2/sandboxes', { templateID: 'python' });
    await world.api('POST', '/v2/sandboxes', { templateID: 'other' });
    for (const name of ['base', 'python', 'a%2Fbase%3Adefault', 'k2']) {
      const listed = await world.api('GET', `/v2/sandboxes?template=${name}`);
      expect(listed.body.map((item: { sandboxID: string }) => item.sandboxID)).toEqual([body.sandboxID]);
    }
    expect((await world.api('GET', '/v2/sandboxes?template=b%2Fbase')).body).toEqual([]);
  });
});
