import type { HostReport, TemplateReport } from '../gateway/wire.js';
import { ApiError } from './errors.js';

export interface Placement {
  hostId: string;
  template: TemplateReport;
}

/**
 * Chooses the host for a new sandbox: of those that have the newest template of that name (or key), the one with the
 * most free memory. The host checks its room again, under its own lock, before it starts anything.
 *
 * @param missing hosts that did not answer, and might have what the others lack
 * @throws ApiError `TemplateNotFound`, `InsufficientCapacity` or, if only a missing host could do it, `Unavailable`
 */
export function place(reports: readonly HostReport[], missing: readonly string[], templateId: string): Placement {
  const offers = reports.flatMap((host) =>
    host.templates
      .filter((template) => template.templateKey === templateId || template.names.includes(templateId))
      .map((template) => ({ host, template })),
  );
  const newest = offers.reduce<TemplateReport | undefined>(
    (best, { template }) => (best === undefined || template.createdAt > best.createdAt ? template : best),
    undefined,
  );
  if (newest === undefined) {
    if (missing.length > 0) throw unavailable(missing);
    throw new ApiError('TemplateNotFound', `template ${JSON.stringify(templateId)} was not found: no host has it`);
  }
  const candidates = offers
    .filter(({ template }) => template.templateKey === newest.templateKey)
    .sort((a, b) => b.host.free.memoryMiB - a.host.free.memoryMiB || compare(a.host.hostId, b.host.hostId));
  const fits = candidates.find(({ host }) => missingRoom(host, newest) === undefined);
  if (fits !== undefined) return { hostId: fits.host.hostId, template: fits.template };
  const best = candidates[0];
  const why = best === undefined ? '' : (missingRoom(best.host, newest) ?? '');
  throw new ApiError(
    'InsufficientCapacity',
    `${why} Nothing was started; kill or pause a sandbox, or try again later.`,
  );
}

/** The disk must be able to take the sandbox's memory when it pauses. */
function missingRoom({ hostId, free }: HostReport, { memoryMiB }: TemplateReport): string | undefined {
  if (free.memoryMiB < memoryMiB) {
    return `not enough memory: the sandbox needs ${memoryMiB} MiB, host ${hostId} has ${Math.max(0, free.memoryMiB)} MiB free.`;
  }
  if (free.diskMiB < memoryMiB) {
    return `not enough disk: the sandbox needs ${memoryMiB} MiB, host ${hostId} has ${Math.max(0, free.diskMiB)} MiB free.`;
  }
  return undefined;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const unavailable = (missing: readonly string[]): ApiError =>
  new ApiError('Unavailable', `these hosts do not answer at the moment: ${missing.join(', ')}. Nothing was started.`);
