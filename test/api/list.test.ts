import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld } from './fake-world.js';

let world: FakeWorld;
beforeAll(async () => (world = await new FakeWorld().start()));
afterAll(() => world.stop());
beforeEach(() => world.views.clear());

const ids = async (query: string, key = 'key-a'): Promise<string[]> => {
  const { status, body } = await world.api('GET', `/v2/sandboxes${query}`, undefined, { 'x-api-key': key });
  expect([query, status, body]).toEqual([query, 200, expect.any(Array)]);
  return (body as { sandboxID: string }[]).map((item) => item.sandboxID);
};

describe('the v2 list', () => {
  test('shows running and paused ones of the caller, newest first, ties by id', async () => {
    world.add('i2', { startedAt: 1000 });
    world.add('i1', { startedAt: 1000, status: 'paused' });
    world.add('i3', { startedAt: 3000 });
    world.add('foreign', { startedAt: 2000 }, { tenant: 'b' });
    world.add('i4', { startedAt: 4000, status: 'creating' });
    for (const status of ['killing', 'killed', 'failed'] as const) world.add(`x${status}`, { status });
    expect(await ids('')).toEqual(['i4', 'i3', 'i1', 'i2']);
    expect(await ids('?order=asc')).toEqual(['i1', 'i2', 'i3', 'i4']);
    expect(await ids('', 'key-b')).toEqual(['foreign']);
  });

  test('has every field that the clients’ parsers require', async () => {
    const view = world.add('i1', { status: 'paused' }, { metadata: { a: 'b' } });
    const { body } = await world.api('GET', '/v2/sandboxes');
    expect(body).toEqual([
      {
        ...{ templateID: 'base', sandboxID: 'i1', clientID: 'dormouse', alias: 'base', envdVersion: '0.5.2' },
        ...{ cpuCount: 2, memoryMB: 512, diskSizeMB: 4096, state: 'paused', metadata: { a: 'b' } },
        startedAt: new Date(view.startedAt).toISOString(),
        endAt: new Date(view.endAt).toISOString(),
      },
    ]);
  });

  test('filters by state, as Python and as JS write it', async () => {
    world.add('i1', { startedAt: 2 });
    world.add('i2', { startedAt: 1, status: 'paused' });
    expect(await ids('?state=running')).toEqual(['i1']);
    expect(await ids('?state=paused')).toEqual(['i2']);
    expect(await ids('?state=paused%2Crunning')).toEqual(['i1', 'i2']);
    expect(await ids('?state=paused,running')).toEqual(['i1', 'i2']);
  });

  test.each([
    ['Python', 'user%252520id%3Da%252526b%252Fc%26k%3Dv'],
    ['JS', 'user%252520id%3Da%252526b%25252Fc%26k%3Dv'],
  ])('decodes the metadata filter three times, as %s sends it', async (_name, metadata) => {
    world.add('i1', {}, { metadata: { 'user id': 'a&b/c', k: 'v', more: 'x' } });
    world.add('i2', {}, { metadata: { 'user id': 'a&b/c', k: 'other' } });
    world.add('i3', {}, { metadata: { 'user id': 'a&b/c' } });
    expect(await ids(`?metadata=${metadata}`)).toEqual(['i1']);
  });

  test('a metadata filter never matches what is not metadata', async () => {
    world.add('i1', {}, { metadata: {} });
    expect(await ids('?metadata=constructor%3D')).toEqual([]);
    expect(await ids('?metadata=')).toEqual(['i1']);
  });

  test('filters by template and by start', async () => {
    world.add('i1', { startedAt: Date.parse('2023-11-14T22:13:21Z') });
    world.add('i2', { startedAt: Date.parse('2023-11-14T22:13:20Z') });
    world.add('i3', { startedAt: Date.parse('2023-11-14T22:13:30Z') }, { templateId: 'other', templateKey: 'k2' });
    expect(await ids('?order=asc&startedAfter=2023-11-14T22%3A13%3A21%2B00%3A00&template=base')).toEqual(['i1']);
    expect(await ids('?startedAfter=2023-11-14T22:13:21+00:00')).toEqual(['i3', 'i1']);
    expect(await ids('?template=k2')).toEqual(['i3']);
  });

  test('from the start that a sandbox itself is said to have, shows it; from a second later, does not', async () => {
    const { startedAt } = world.add('i1', { startedAt: Date.parse('2023-11-14T22:13:20.678Z') });
    const [listed, got] = await Promise.all(
      ['/v2/sandboxes', '/sandboxes/i1'].map(async (path) => (await world.api('GET', path)).body),
    );
    expect(listed[0].startedAt).toBe(got.startedAt);
    for (const [from, found] of [
      [startedAt, ['i1']],
      [startedAt + 1, []],
      [startedAt + 1_000, []],
    ] as const) {
      const text = encodeURIComponent(new Date(from).toISOString());
      expect(await ids(`?startedAfter=${text}`)).toEqual(found);
    }
  });

  test('pages by a token that comes back percent-encoded; the last page has none', async () => {
    for (let i = 0; i < 7; i += 1) world.add(`i${i}`, { startedAt: 5000 - (i >> 1) });
    const seen: string[] = [];
    let token = '';
    for (let pages = 1; ; pages += 1) {
      const query = `?limit=3${token === '' ? '' : `&nextToken=${encodeURIComponent(token)}`}`;
      const { headers, body } = await world.api('GET', `/v2/sandboxes${query}`);
      seen.push(...(body as { sandboxID: string }[]).map((item) => item.sandboxID));
      expect(headers.get('x-total-running')).toBe('7');
      token = headers.get('x-next-token') ?? '';
      if (token === '') {
        expect(pages).toBe(3);
        break;
      }
    }
    expect(seen).toEqual(['i0', 'i1', 'i2', 'i3', 'i4', 'i5', 'i6']);
  });

  test('a page that is just full is the last one', async () => {
    for (let i = 0; i < 3; i += 1) world.add(`i${i}`);
    const { headers } = await world.api('GET', '/v2/sandboxes?limit=3');
    expect(headers.get('x-next-token')).toBeNull();
  });

  test.each(['desc', 'asc'])(
    'in order %s, what comes and goes between pages neither hides nor repeats the rest',
    async (order) => {
      for (let i = 0; i < 40; i += 1) world.add(`i${String(i).padStart(2, '0')}`, { startedAt: 10_000 + i });
      const stay = [...world.views.keys()].filter((_, i) => i % 4 !== 0);
      const seen: string[] = [];
      let token: string | null = null;
      let round = 0;
      do {
        const query: string = token === null ? '' : `&nextToken=${encodeURIComponent(token)}`;
        const { headers, body } = await world.api('GET', `/v2/sandboxes?limit=5&order=${order}${query}`);
        seen.push(...(body as { sandboxID: string }[]).map((item) => item.sandboxID));
        token = headers.get('x-next-token');
        for (let i = 0; i < 40; i += 4)
          if (i % 12 === (round * 4) % 12) world.views.delete(`i${String(i).padStart(2, '0')}`);
        world.add(`new${round}a`, { startedAt: 10_000 + 41 + round });
        world.add(`new${round}b`, { startedAt: 10_000 - round });
        round += 1;
      } while (token !== null && round < 100);
      expect(new Set(seen).size).toBe(seen.length);
      for (const id of stay) expect(seen).toContain(id);
    },
  );

  test.each([
    'limit=0',
    'limit=101',
    'limit=-1',
    'limit=x',
    'limit=1.5',
    'limit=1&limit=2',
    'nextToken=rubbish',
    'nextToken=eF9fLQ',
    'state=stopped',
    'state=',
    'order=up',
    'startedAfter=yesterday',
    'startedAfter=5',
    'metadata=a%3D%25',
    'metadata=a&metadata=b',
  ])('answers 400 to %s', async (query) => {
    const { status, body } = await world.api('GET', `/v2/sandboxes?${query}`);
    expect([status, body.code]).toEqual([400, 400]);
    expect(body.message).toContain(query.split('=')[0]);
  });

  test('takes filters as long as a request may be', async () => {
    const long = 'k'.repeat(12_000);
    world.add('i1', {}, { metadata: { [long]: 'v' } });
    expect(await ids(`?metadata=${long}%3Dv`)).toEqual(['i1']);
    expect(await ids(`?template=${long}`)).toEqual([]);
    const short = Array.from({ length: 1_000 }, (_, index) => `${index}%3D%2527`).join('%26');
    expect(await ids(`?metadata=${short}`)).toEqual([]);
  });

  test('leaves out a host of another version, which may send what is not the caller’s', async () => {
    const other = createServer((_request, response) => response.end(JSON.stringify({ sandboxes: [foreign] })));
    const mixed = await new FakeWorld().start([{ hostId: 'earlier', url: await world.listen(other) }]);
    const foreign = mixed.add('i2', {}, { tenant: 'b' });
    mixed.add('i1');
    const { headers, body } = await mixed.api('GET', '/v2/sandboxes');
    expect((body as unknown as { sandboxID: string }[]).map((item) => item.sandboxID)).toEqual(['i1']);
    expect(headers.get('x-dormouse-missing-hosts')).toBe('earlier');
    await mixed.stop();
  });

  test('shows a create, pause, connect and kill as soon as they are answered', async () => {
    const id = (await world.api('POST', '/v2/sandboxes', { templateID: 'base' })).body.sandboxID as string;
    expect(await ids('?state=running')).toEqual([id]);
    await world.api('POST', `/sandboxes/${id}/pause`);
    expect(await ids('?state=paused')).toEqual([id]);
    await world.api('POST', `/sandboxes/${id}/connect`, { timeout: 60 });
    expect(await ids('?state=running')).toEqual([id]);
    await world.api('DELETE', `/sandboxes/${id}`);
    expect(await ids('')).toEqual([]);
  });
});

describe('the v1 list', () => {
  test('shows all running ones, filtered by metadata, without pages', async () => {
    for (let i = 0; i < 120; i += 1) world.add(`i${i}`, {}, { metadata: { n: String(i % 2) } });
    world.add('paused', { status: 'paused' });
    const all = await world.api('GET', '/sandboxes');
    expect([all.body.length, all.headers.get('x-next-token')]).toEqual([120, null]);
    expect((await world.api('GET', '/sandboxes?metadata=n%3D1')).body.length).toBe(60);
  });
});
