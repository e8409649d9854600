import { createHash } from 'node:crypto';
import type { TemplateReport, TemplateUses } from '../gateway/wire.js';
import type { CatalogTemplate } from './template-catalog.js';

const iso = (ms: number): string => new Date(ms).toISOString();

type Uses = TemplateUses['uses'];

/** Clients want UUIDs of builds; a build is known by its key, so its UUID is derived from that (version 8, RFC 9562). */
export function buildId(templateKey: string): string {
  const hash = createHash('sha256').update(`dormouse/build/${templateKey}`).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x80;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Uses are counted over the caller's sandboxes that are still there: nobody keeps count of those that have ended. */
function shared({ id, names, builds }: CatalogTemplate, uses: Uses) {
  const ofBuilds = builds.flatMap(({ templateKey }) => uses[templateKey] ?? []);
  return {
    templateID: id,
    public: true,
    aliases: names,
    names,
    createdAt: iso(Math.min(...builds.map(({ createdAt }) => createdAt))),
    updatedAt: iso(Math.max(...builds.map(({ createdAt }) => createdAt))),
    lastSpawnedAt: ofBuilds.length === 0 ? null : iso(Math.max(...ofBuilds.map(({ lastAt }) => lastAt))),
    spawnCount: ofBuilds.reduce((sum, { count }) => sum + count, 0),
  };
}

const resources = ({ cpuCount, memoryMiB, diskMiB, envdVersion }: TemplateReport) => ({
  cpuCount,
  memoryMB: memoryMiB,
  diskSizeMB: diskMiB,
  envdVersion,
});

/** An item of the list of templates. */
export function presentTemplate(template: CatalogTemplate, uses: Uses) {
  const newest = template.builds[0]!;
  return {
    ...shared(template, uses),
    ...resources(newest),
    buildID: buildId(newest.templateKey),
    buildCount: template.builds.length,
    buildStatus: 'ready',
    createdBy: null,
  };
}

/** Answer of get; `builds` is the page of them that was asked for. */
export const presentTemplateWithBuilds = (
  template: CatalogTemplate,
  builds: readonly TemplateReport[],
  uses: Uses,
) => ({
  ...shared(template, uses),
  builds: builds.map((build) => ({
    ...resources(build),
    buildID: buildId(build.templateKey),
    status: 'ready',
    createdAt: iso(build.createdAt),
    updatedAt: iso(build.createdAt),
    finishedAt: iso(build.createdAt),
  })),
});
