import { z } from 'zod';
import { placeOf, publicStates, type Place, type SandboxPage, type SandboxQuery } from '../gateway/sandbox-query.js';
import { ApiError } from './errors.js';
import { parseMetadata } from './metadata-query.js';
import { parse } from './parse.js';
import { once, pageSize, pageToken } from './schemas.js';

const querySchema = z.object({
  metadata: once.transform(parseMetadata).optional(),
  state: once
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(publicStates.enum, 'expected running, paused, or both with a comma')))
    .optional(),
  limit: pageSize,
  nextToken: pageToken.optional(),
  order: z.enum(['asc', 'desc'], 'expected asc or desc').default('desc'),
  startedAfter: once.transform(parseTime).optional(),
  template: once.optional(),
});

export type ListQuery = z.output<typeof querySchema>;

/** @throws ApiError `InvalidRequest` */
export const parseListQuery = (query: unknown): ListQuery => parse(querySchema, query);

/**
 * What the hosts are asked for, but for the template: finding that one takes knowing them all.
 *
 * @throws ApiError `InvalidRequest` for a token that is not one
 */
export const toSandboxQuery = (query: ListQuery, tenant: string): SandboxQuery => ({
  ...{ tenant, states: query.state, startedAfter: query.startedAfter, order: query.order, limit: query.limit },
  metadata: query.metadata === undefined ? undefined : [...query.metadata],
  after: query.nextToken === undefined ? undefined : parseToken(query.nextToken),
});

/** Where the next page begins; undefined when there is none. */
export function nextToken({ sandboxes, more }: SandboxPage): string | undefined {
  const last = sandboxes.at(-1);
  return more && last !== undefined ? formatToken(placeOf(last)) : undefined;
}

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
