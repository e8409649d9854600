/** Headers that concern one connection only (RFC 9110, 7.6.1), and `expect`, which is answered where it arrives. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]);

/** Where a message ends and whom it is for: whoever could have them dropped could put a request of his into the next one. */
const NEVER_DROPPED = new Set(['content-length', 'host']);

/**
 * The headers to pass on, as a flat list of names and values: order, case and repetitions are kept.
 *
 * @param drop further headers to leave out, told by their lowercase name
 */
export function endToEnd(rawHeaders: readonly string[], drop: (name: string) => boolean = () => false): string[] {
  const named = new Set<string>();
  for (const [name, value] of pairs(rawHeaders)) {
    if (name.toLowerCase() === 'connection') for (const item of value.split(',')) named.add(item.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (const [name, value] of pairs(rawHeaders)) {
    const lower = name.toLowerCase();
    const ofConnection = HOP_BY_HOP.has(lower) || (named.has(lower) && !NEVER_DROPPED.has(lower));
    if (!ofConnection && !drop(lower)) kept.push(name, value);
  }
  return kept;
}

/** The headers between api and host: no client sends any, no guest sees or answers any. */
export const isOurs = (name: string): boolean => name.startsWith('x-dormouse-');

export const withoutOurs = (rawHeaders: readonly string[]): string[] => withoutHeaders(rawHeaders, isOurs);

/** @param drop told the name in lowercase */
export const withoutHeaders = (rawHeaders: readonly string[], drop: (name: string) => boolean): string[] =>
  [...pairs(rawHeaders)].filter(([name]) => !drop(name.toLowerCase())).flat();

export const hasHeader = (rawHeaders: readonly string[], name: string): boolean => {
  for (const [found] of pairs(rawHeaders)) if (found.toLowerCase() === name) return true;
  return false;
};

function* pairs(rawHeaders: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) yield [rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''];
}
