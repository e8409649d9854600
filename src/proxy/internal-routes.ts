/** Routes of the agent that only the host may call (contract 3.4, and our own). */
const INTERNAL = new Set([
  ...['/init', '/freeze', '/unfreeze', '/collapse', '/fsfreeze', '/fsthaw', '/upgrade'],
  ...['/events', '/sync'],
]);

/** Whether a path could be read as an internal route, however it is spelled. */
export function isInternalRoute(pathname: string): boolean {
  let path = pathname;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    // Not decodable: no route of the agent, but looked at as it is.
  }
  const parts: string[] = [];
  for (const part of path.toLowerCase().split(/[/\\]+/)) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part.replace(/[;?#\0].*$/, ''));
  }
  return INTERNAL.has(`/${parts.join('/')}`);
}
