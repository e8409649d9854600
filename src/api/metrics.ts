import type { RequestHandler } from 'express';
import { z } from 'zod';
import type { MetricSample } from '../gateway/wire.js';
import { SANDBOX_ID_PATTERN } from '../../workflows/names.js';
import { tenantOf } from './authenticate.js';
import type { ApiDeps } from './deps.js';
import { ApiError } from './errors.js';
import { findSandbox } from './find-sandbox.js';
import { parse } from './parse.js';
import { once } from './schemas.js';

const MOST_IDS = 100;
/** Clients of one generation send milliseconds, all others seconds; no second of ours has that many digits. */
const MILLISECONDS_ABOVE = 1e11;

const moment = once.regex(/^\d{1,15}(\.\d+)?$/, 'expected seconds or milliseconds since 1970').transform(Number);

const range = z.object({
  start: moment.transform((at) => (at > MILLISECONDS_ABOVE ? at : at * 1000)).default(0),
  // A whole second ends with its last millisecond.
  end: moment.transform((at) => (at > MILLISECONDS_ABOVE ? at : at * 1000 + 999)).default(Infinity),
});

const many = z.object({
  sandbox_ids: once
    .transform((text) => text.split(',').filter((id) => id !== ''))
    .pipe(
      z
        .array(z.string().regex(SANDBOX_ID_PATTERN, 'expected ids of sandboxes, with commas'))
        .min(1, 'expected at least one id')
        .max(MOST_IDS, `expected at most ${MOST_IDS} ids`),
    ),
});

/** `GET /sandboxes/{id}/metrics`: what is kept of the sandbox, running or paused. */
export const metrics =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { start, end } = parse(range, request.query);
    const { spec } = await findSandbox(deps, request, response);
    const samples = await deps.directory.samples(spec.id);
    response.json(samples.filter(({ at }) => at >= start && at <= end).map(presentSample));
  };

/** `GET /sandboxes/metrics`: the newest sample of each; sandboxes that are not there, or not the caller's, are left out. */
export const metricsOfMany =
  (deps: ApiDeps): RequestHandler =>
  async (request, response) => {
    const { sandbox_ids: wanted } = parse(many, request.query);
    const own = await deps.directory.list({ tenant: tenantOf(response), ids: wanted });
    const latest = await deps.directory.latestSamples(own.found.sandboxes.map(({ spec }) => spec.id));
    const missing = [...new Set([...own.missing, ...latest.missing])].join(',');
    if (own.answered === 0 || latest.answered === 0) {
      throw new ApiError('Unavailable', `no host answers at the moment (${missing}): no metrics can be told`);
    }
    if (missing !== '') response.set('X-Dormouse-Missing-Hosts', missing);
    const sandboxes = Object.entries(latest.found).map(([id, sample]) => [id, presentSample(sample)]);
    response.json({ sandboxes: Object.fromEntries(sandboxes) });
  };

const presentSample = (sample: MetricSample) => ({
  timestamp: new Date(sample.at).toISOString(),
  timestampUnix: Math.floor(sample.at / 1000),
  cpuCount: sample.cpuCount,
  cpuUsedPct: sample.cpuUsedPct,
  memUsed: sample.memUsed,
  memTotal: sample.memTotal,
  memCache: sample.memCache,
  diskUsed: sample.diskUsed,
  diskTotal: sample.diskTotal,
});
