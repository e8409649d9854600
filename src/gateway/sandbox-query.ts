import { z } from 'zod';
import type { SandboxView } from '../../workflows/view.js';
import type { NewestList, TemplateUses } from './wire.js';

/** The two states that clients know. */
export const publicStates = z.enum(['running', 'paused']);
export type PublicState = z.output<typeof publicStates>;

/** A place in the order of lists: by start (epoch milliseconds), the id breaks ties. */
const place = z.strictObject({ startedAt: z.number(), id: z.string() });
export type Place = z.output<typeof place>;

/** Which sandboxes, and how many of them; what is absent does not limit. */
export const sandboxQuery = z.strictObject({
  tenant: z.string().optional(),
  ids: z.array(z.string()).optional(),
  states: z.array(publicStates).optional(),
  /** Epoch milliseconds, inclusive. */
  startedAfter: z.number().optional(),
  metadata: z.array(z.tuple([z.string(), z.string()])).optional(),
  /** Of the build of this key, or of a template of this id. */
  template: z.strictObject({ key: z.string(), id: z.string() }).optional(),
  order: z.enum(['asc', 'desc']).default('desc'),
  /** Only what comes after it. */
  after: place.optional(),
  limit: z.number().int().nonnegative().optional(),
});
export type SandboxQuery = z.input<typeof sandboxQuery>;

export interface SandboxPage {
  sandboxes: SandboxView[];
  /** Whether others come after the last of them. */
  more: boolean;
  /** Running ones among all that match, on this page or not. */
  totalRunning: number;
}

/** Whether a host understood the query: one of an earlier version sends everything that it has, of every tenant. */
export const isSandboxPage = (answer: SandboxPage): boolean =>
  typeof (answer as Partial<SandboxPage>).more === 'boolean';

/**
 * Undefined for a sandbox that has ended. What is on its way counts as where it comes from, so that a list shows a pause
 * or a connect when it is done. One being made counts as running: it exists. One whose guest was told to shut down, as its
 * image says, counts as paused: no request reaches it any more, and nothing brings it back but a boot.
 */
export function publicState(view: SandboxView): PublicState | undefined {
  switch (view.status) {
    case 'creating':
    case 'running':
      return 'running';
    case 'pausing':
      return view.image?.kind === 'disk' ? 'paused' : 'running';
    case 'paused':
    case 'resuming':
      return 'paused';
    case 'killing':
    case 'killed':
    case 'failed':
      return undefined;
  }
}

export const placeOf = ({ startedAt, spec }: SandboxView): Place => ({ startedAt, id: spec.id });

/**
 * What a host answers. A place is no item's number, so sandboxes that come and go between two pages neither repeat nor
 * hide others.
 */
export function pageOf(views: readonly SandboxView[], query: SandboxQuery): SandboxPage {
  const matching = views.filter(matcher(query));
  const { after } = query;
  const compare = inOrder(query);
  const rest = after === undefined ? matching : matching.filter((view) => compare(after, placeOf(view)) < 0);
  return {
    ...cut(rest, query),
    totalRunning: matching.filter((view) => publicState(view) === 'running').length,
  };
}

/** The pages of several hosts as one; each answered the same query. */
export function mergePages(pages: readonly SandboxPage[], query: SandboxQuery): SandboxPage {
  const { sandboxes, more } = cut(
    pages.flatMap((page) => page.sandboxes),
    query,
  );
  return {
    sandboxes,
    more: more || pages.some((page) => page.more),
    totalRunning: pages.reduce((sum, page) => sum + page.totalRunning, 0),
  };
}

/** The newest of a host's sandboxes, with no more of each than a row. */
export const newestOf = (views: readonly SandboxView[], most: number): NewestList['newest'] =>
  views
    .filter((view) => publicState(view) !== undefined)
    .sort((a, b) => b.startedAt - a.startedAt)
    .slice(0, most)
    .map(({ spec: { id, tokenNonce }, startedAt }) => ({
      ...{ id, startedAt },
      ...(tokenNonce === undefined ? {} : { tokenNonce }),
    }));

/** How often a tenant's sandboxes use each template, and since when the newest of them does. */
export function usesOf(views: readonly SandboxView[], tenant: string): TemplateUses['uses'] {
  const uses = new Map<string, { count: number; lastAt: number }>();
  for (const view of views) {
    const { spec, startedAt } = view;
    if (spec.tenant !== tenant || publicState(view) === undefined) continue;
    const { count, lastAt } = uses.get(spec.templateKey) ?? { count: 0, lastAt: 0 };
    uses.set(spec.templateKey, { count: count + 1, lastAt: Math.max(lastAt, startedAt) });
  }
  return Object.fromEntries(uses);
}

function cut(views: SandboxView[], query: SandboxQuery): Pick<SandboxPage, 'sandboxes' | 'more'> {
  const compare = inOrder(query);
  const sorted = views.sort((a, b) => compare(placeOf(a), placeOf(b)));
  const { limit = sorted.length } = query;
  return { sandboxes: sorted.slice(0, limit), more: sorted.length > limit };
}

function inOrder({ order }: SandboxQuery): (a: Place, b: Place) => number {
  const direction = order === 'asc' ? 1 : -1;
  return (a, b) => direction * (a.startedAt - b.startedAt) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

function matcher(query: SandboxQuery): (view: SandboxView) => boolean {
  const { tenant, states, startedAfter, template } = query;
  const ids = query.ids === undefined ? undefined : new Set(query.ids);
  const wanted = query.metadata ?? [];
  return (view) => {
    const { spec } = view;
    const state = publicState(view);
    return (
      state !== undefined &&
      (tenant === undefined || spec.tenant === tenant) &&
      (ids === undefined || ids.has(spec.id)) &&
      (states === undefined || states.includes(state)) &&
      (startedAfter === undefined || view.startedAt >= startedAfter) &&
      (template === undefined || spec.templateKey === template.key || spec.templateId === template.id) &&
      wanted.every(([key, value]) => Object.hasOwn(spec.metadata, key) && spec.metadata[key] === value)
    );
  };
}
