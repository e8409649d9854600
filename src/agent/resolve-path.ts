import path from 'node:path';

/** `~` and relative paths start at `home`; the empty path is `home`. */
export function resolvePath(given: string, home: string): string {
  if (given === '' || given === '~') return home;
  return path.resolve(home, given.startsWith('~/') ? given.slice(2) : given);
}
