import type { HostReport, TemplateReport } from '../gateway/wire.js';

/**
 * A template as clients see it: a name that stays, with builds that come and go. What the hosts call a template is one
 * build of it.
 */
export interface CatalogTemplate {
  /** The first of its names. */
  id: string;
  names: string[];
  /** Newest first; the first is the one that a create by name gets. */
  builds: TemplateReport[];
}

/** All templates that the hosts have together, newest build first. */
export function catalogOf(reports: readonly HostReport[]): CatalogTemplate[] {
  const builds = distinct(reports.flatMap(({ templates }) => templates)).sort((a, b) => b.createdAt - a.createdAt);
  const owned = new Set<string>();
  const catalog: CatalogTemplate[] = [];
  for (const newest of builds) {
    const names = newest.names.filter((name) => !owned.has(name));
    const id = names[0];
    if (id === undefined) continue;
    for (const name of names) owned.add(name);
    catalog.push({ id, names, builds: builds.filter((build) => build.names.some((name) => names.includes(name))) });
  }
  return catalog;
}

/** By any of its names, or by the key of any of its builds. */
export const findTemplate = (catalog: readonly CatalogTemplate[], name: string): CatalogTemplate | undefined =>
  catalog.find(({ names }) => names.includes(name)) ??
  catalog.find(({ builds }) => builds.some(({ templateKey }) => templateKey === name));

const distinct = (templates: TemplateReport[]): TemplateReport[] => [
  ...new Map(templates.map((template) => [template.templateKey, template])).values(),
];
