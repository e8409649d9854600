import type { HostReport, TemplateReport } from '../gateway/wire.js';
import { ApiError } from './errors.js';
import { catalogOf, findTemplate } from './template-catalog.js';
import { templateNotFound } from './template-name.js';

export interface Placement {
  hostId: string;
  /** As clients see it from now on, however it was asked for. */
  templateId: string;
  template: TemplateReport;
}

/**
 * Chooses the host for a new sandbox: of those that have the newest build of the template of that name (or the build of
 * that key), the one with the most free memory. The host checks its room again, under its own lock, before it starts anything.
 *
 * @param missing hosts that did not answer, and might have what the others lack
 * @throws ApiError `TemplateNotFound`, `InsufficientCapacity` or, if only a missing host could do it, `Unavailable`
 */
export function place(reports: readonly HostReport[], missing: readonly string[], name: string): Placement {
  const { templateId, template } = chooseBuild(reports, missing, name);
  const candidates = reports
    .filter(({ templates }) => templates.some(({ templateKey }) => templateKey === template.templateKey))
    .sort((a, b) => b.free.memoryMiB - a.free.memoryMiB || compare(a.hostId, b.hostId));
  const fits = candidates.find((host) => missingRoom(host, template) === undefined);
  if (fits !== undefined) return { hostId: fits.hostId, templateId, template };
  const best = candidates[0];
  const why = best === undefined ? '' : (missingRoom(best, template) ?? '');
  throw new ApiError(
    'InsufficientCapacity',
    `${why} Nothing was started; kill or pause a sandbox, or try again later.`,
  );
}

/** The newest build of the template of that name, or the build of that key. @throws ApiError as `place`, whatever room there is */
export function chooseBuild(
  reports: readonly HostReport[],
  missing: readonly string[],
  name: string,
): Omit<Placement, 'hostId'> {
  const found = findTemplate(catalogOf(reports), name);
  const template = found?.builds.find(({ templateKey }) => templateKey === name) ?? found?.builds[0];
  if (found !== undefined && template !== undefined) return { templateId: found.id, template };
  if (missing.length > 0) throw unavailable(missing);
  throw templateNotFound(name);
}

/** The disk must be able to take the sandbox's memory when it pauses. */
function missingRoom({ free }: HostReport, { memoryMiB }: TemplateReport): string | undefined {
  if (free.memoryMiB < memoryMiB) {
    return `not enough memory: the sandbox needs ${memoryMiB} MiB, and no host has as much free.`;
  }
  if (free.diskMiB < memoryMiB) {
    return `not enough disk: the sandbox needs ${memoryMiB} MiB, and no host has as much free.`;
  }
  return undefined;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const unavailable = (missing: readonly string[]): ApiError =>
  new ApiError('Unavailable', `these hosts do not answer at the moment: ${missing.join(', ')}. Nothing was started.`);
