import type { IncomingMessage, ServerResponse } from 'node:http';
import type { GatewayDeps } from './gateway-deps.js';
import { newestOf, pageOf, sandboxQuery, usesOf } from './sandbox-query.js';
import type { LatestSamples, LogList, NewestList, SampleList, TemplateUses, UnreadableSandbox } from './wire.js';

/** The host's index and facts, for the api; shapes in `wire.ts`. */
export async function answerInternal(
  deps: GatewayDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://gateway');
  const send = (status: number, body: unknown): void => {
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
  if (request.method !== 'GET') return send(405, { code: 405, message: `${request.method ?? ''} is not known here` });
  if (url.pathname === '/internal/host') return send(200, await deps.report());
  if (url.pathname === '/internal/sandboxes') {
    const query = sandboxQuery.safeParse(jsonOf(url.searchParams.get('query') ?? ''));
    if (query.success) return send(200, pageOf(deps.index.list(), query.data));
    return send(400, { code: 400, message: `query: ${query.error.issues.map(({ message }) => message).join('; ')}` });
  }
  if (url.pathname === '/internal/newest') {
    const most = Number(url.searchParams.get('most'));
    if (!Number.isSafeInteger(most) || most < 1) return send(400, { code: 400, message: 'most: expected a number' });
    return send(200, { newest: newestOf(deps.index.list(), most) } satisfies NewestList);
  }
  if (url.pathname === '/internal/uses') {
    const tenant = url.searchParams.get('tenant') ?? '';
    return send(200, { uses: usesOf(deps.index.list(), tenant) } satisfies TemplateUses);
  }
  if (url.pathname === '/internal/use') {
    const named = (url.searchParams.get('asleep') ?? '').split(',').filter((id) => id !== '');
    return send(200, deps.use(url.searchParams.get('tenant') ?? '', named));
  }
  if (url.pathname === '/internal/metrics') {
    const ids = (url.searchParams.get('ids') ?? '').split(',').filter((id) => deps.index.get(id) !== undefined);
    const samples = await Promise.all(ids.map(async (id) => [id, await deps.journal.latest(id)] as const));
    const list = { samples: Object.fromEntries(samples.filter(([, sample]) => sample !== undefined)) } as LatestSamples;
    return send(200, list);
  }
  const [, id = '', what = ''] = /^\/internal\/sandboxes\/([a-z0-9]+)(?:\/([a-z]+))?$/.exec(url.pathname) ?? [];
  const view = deps.index.get(id);
  if (view !== undefined && what === '') return send(200, view);
  if (view !== undefined && what === 'metrics') {
    return send(200, { samples: await deps.journal.samples(id) } satisfies SampleList);
  }
  if (view !== undefined && what === 'log') {
    return send(200, { entries: await deps.journal.entries(id) } satisfies LogList);
  }
  if (what === '' && deps.index.isUnreadable(id)) return send(200, { unreadable: true } satisfies UnreadableSandbox);
  send(404, { code: 404, message: `this host has nothing at ${url.pathname}` });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
