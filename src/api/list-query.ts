import type { SandboxView } from '../../workflows/view.js';
import { z } from 'zod';
import { ApiError } from './errors.js';
import { parseMetadata } from './metadata-query.js';
import { parse } from './parse.js';
import { publicState } from './present.js';
import { once, pageSize, pageToken } from './schemas.js';

const querySchema = z.object({
  metadata: once.transform(parseMetadata).optional(),
  state: once
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(['running', 'paused'], 'expected running, paused, or both with a comma')))
    .optional(),
  limit: pageSize,
  nextToken: pageToken.optional(),
  order: z.enum(['asc', 'desc'], 'expected asc or desc').default('desc'),
  startedAfter: once.transform(parseTime).optional(),
  template: once.optional(),
});

export type ListQuery = z.output<typeof querySchema>;

export interface Page {
  views: SandboxView[];
  nextToken: string | undefined;
  /** Running ones among all that match, on this page or not. */
  totalRunning: number;
}

/** Whether a sandbox is of the template that the query names: that takes knowing the templates. */
export type TemplateFilter = (view: SandboxView) => boolean;

const any: TemplateFilter = () => true;

/** @throws ApiError `InvalidRequest` */
export const parseListQuery = (query: unknown): ListQuery => parse(querySchema, query);

/**
 * One page: filtered, sorted by start (id breaks ties) and cut where the last page ended. The token names a place in
 * that order, not an item's number, so sandboxes that come and go meanwhile neither repeat nor hide others.
 */
export function page(views: readonly SandboxView[], query: ListQuery, isOfTemplate: TemplateFilter = any): Page {
  const matching = views.filter((view) => matches(view, query) && isOfTemplate(view));
  const after = query.nextToken === undefined ? undefined : parseToken(query.nextToken);
  const direction = query.order === 'asc' ? 1 : -1;
  const compare = (a: Place, b: Place): number =>
    direction * (a.startedAt - b.startedAt) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  const rest = matching
    .filter((view) => after === undefined || compare(after, placeOf(view)) < 0)
    .sort((a, b) => compare(placeOf(a), placeOf(b)));
  const shown = rest.slice(0, query.limit);
  const last = shown.at(-1);
  return {
    views: shown,
    nextToken: last !== undefined && rest.length > shown.length ? formatToken(placeOf(last)) : undefined,
    totalRunning: matching.filter((view) => publicState(view) === 'running').length,
  };
}

function matches(view: SandboxView, query: ListQuery): boolean {
  const state = publicState(view);
  if (state === undefined) return false;
  if (query.state !== undefined && !query.state.includes(state)) return false;
  if (query.startedAfter !== undefined && view.startedAt <= query.startedAfter) return false;
  const { metadata } = view.spec;
  return [...(query.metadata ?? [])].every(([key, value]) => Object.hasOwn(metadata, key) && metadata[key] === value);
}

interface Place {
  startedAt: number;
  id: string;
}

const placeOf = (view: SandboxView): Place => ({ startedAt: view.startedAt, id: view.spec.id });

const formatToken = ({ startedAt, id }: Place): string =>
  Buffer.from(`${new Date(startedAt).toISOString()}__${id}`).toString('base64url');

function parseToken(token: string): Place {
  const [, time, id] = /^(.+)__([a-z0-9]{1,40})$/.exec(Buffer.from(token, 'base64url').toString('utf8')) ?? [];
  const startedAt = Date.parse(time ?? '');
  if (id === undefined || Number.isNaN(startedAt)) {
    throw new ApiError('InvalidRequest', 'nextToken: not one that this service has given; start again without it');
  }
  return { startedAt, id };
}

function parseTime(text: string, ctx: z.RefinementCtx<string>): number {
  // A "+" of the time zone that the client did not encode has become a space.
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text.replace(' ', '+')) : NaN;
  if (Number.isNaN(time)) {
    ctx.addIssue({ code: 'custom', message: 'expected an ISO 8601 time such as 2026-01-02T03:04:05Z' });
    return z.NEVER;
  }
  return time;
}
