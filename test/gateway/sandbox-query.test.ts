import { expect, test } from 'vitest';
import { mergePages, pageOf, placeOf, type SandboxQuery } from '../../src/gateway/sandbox-query.js';
import type { SandboxView } from '../../workflows/view.js';

const view = (id: string, startedAt: number, status = 'running'): SandboxView =>
  ({ spec: { id, metadata: {} }, startedAt, status }) as unknown as SandboxView;

/** Two hosts of different size, with starts that fall together. */
const HOSTS = [
  ['a', 'c', 'e', 'g', 'i'].map((id, index) => view(id, 1000 + (index >> 1), index === 2 ? 'paused' : 'running')),
  ['b', 'd'].map((id, index) => view(id, 1000 + index)),
];
const ALL = HOSTS.flat();

const ids = (views: SandboxView[]): string[] => views.map(({ spec }) => spec.id);

test.each(['asc', 'desc'] as const)(
  'pages of two hosts, merged, are those of one that has everything (%s)',
  (order) => {
    for (const limit of [1, 2, 3, 7, 8]) {
      let after: SandboxQuery['after'];
      const seen: string[] = [];
      for (let more = true; more;) {
        const query = { order, limit, after };
        const merged = mergePages(
          HOSTS.map((views) => pageOf(views, query)),
          query,
        );
        expect(merged).toEqual(pageOf(ALL, query));
        seen.push(...ids(merged.sandboxes));
        ({ more } = merged);
        const last = merged.sandboxes.at(-1);
        after = last && placeOf(last);
      }
      expect(seen).toEqual(ids(pageOf(ALL, { order }).sandboxes));
      expect(new Set(seen).size).toBe(ALL.length);
    }
  },
);

test('the number of running ones is of all that match, on this page or not', () => {
  const query = { limit: 1 };
  expect(pageOf(ALL, query).totalRunning).toBe(6);
  expect(pageOf(ALL, { ...query, after: placeOf(view('z', 0)) })).toMatchObject({ sandboxes: [], totalRunning: 6 });
  expect(
    mergePages(
      HOSTS.map((views) => pageOf(views, query)),
      query,
    ).totalRunning,
  ).toBe(6);
});

test('nothing is left out when nothing limits, and no id is known when none is asked for', () => {
  expect(ids(pageOf(ALL, {}).sandboxes)).toHaveLength(7);
  expect(pageOf(ALL, { ids: [] }).sandboxes).toEqual([]);
  expect(ids(pageOf(ALL, { ids: ['d', 'x'] }).sandboxes)).toEqual(['d']);
});
