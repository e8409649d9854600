import type { RequestHandler } from 'express';
import type { LogEntry } from '../gateway/wire.js';
import type { ApiDeps } from './deps.js';
import { findSandbox } from './find-sandbox.js';
import { logPage, logQueryV1, logQueryV2 } from './log-query.js';
import { parse } from './parse.js';

/** `GET /sandboxes/{id}/logs`: from `start` on, as entries and as lines. */
export const logsV1 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { start, limit } = parse(logQueryV1, request.query);
    const { spec } = await findSandbox(deps, request, response);
    const query = { ...logQueryV2.parse({}), cursor: start, limit };
    const page = logPage(await deps.directory.entries(spec.id), query);
    response.json({ logs: page.map(presentLine), logEntries: page.map(presentEntry) });
  };

/** `GET /v2/sandboxes/{id}/logs`: either way from a cursor, filtered. */
export const logsV2 =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const query = parse(logQueryV2, request.query);
    const { spec } = await findSandbox(deps, request, response);
    response.json({ logs: logPage(await deps.directory.entries(spec.id), query).map(presentEntry) });
  };

const timestamp = ({ at }: LogEntry): string => new Date(at).toISOString();

const presentEntry = (entry: LogEntry) => ({
  timestamp: timestamp(entry),
  message: entry.message,
  level: entry.level,
  fields: entry.fields,
});

const presentLine = (entry: LogEntry) => ({
  timestamp: timestamp(entry),
  line: JSON.stringify({ level: entry.level, message: entry.message, ...entry.fields }),
});
