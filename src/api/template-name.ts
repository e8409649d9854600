import { ApiError } from './errors.js';

/** The one tag that templates have: of a name, the newest build is the one that counts. */
const DEFAULT_TAG = 'default';

/**
 * The plain name (or key) in what clients call a template: `name`, `name:tag`, `namespace/name`. Templates belong to the
 * whole service, so the only namespace in which a tenant finds them is its own.
 *
 * @returns undefined for a tag or a namespace that no template has
 */
export function plainTemplateName(text: string, tenant: string): string | undefined {
  const [, namespace, name, tag] = /^(?:([^/:]+)\/)?([^/:]+)(?::([^/:]+))?$/.exec(text) ?? [];
  if (name === undefined) return undefined;
  if (namespace !== undefined && namespace !== tenant) return undefined;
  if (tag !== undefined && tag !== DEFAULT_TAG) return undefined;
  return name;
}

export const templateNotFound = (text: string): ApiError =>
  new ApiError(
    'TemplateNotFound',
    `template ${JSON.stringify(text.slice(0, 64))} was not found: no host has one of that name, id or tag`,
  );
