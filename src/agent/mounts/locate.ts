import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import path from 'node:path';
import { currentMountsApart, type Mount } from './mount-table.js';

export interface Place {
  /** The mount apart on which it lies, or through which the way leads; undefined: a call on it waits for nobody. */
  apart: Mount | undefined;
  /** Its path without links, as far as was looked. */
  real: string;
  /** Of what is there; undefined where nothing is, or where it was not looked at. */
  found: Stats | undefined;
}

const MOST_LINKS = 40;

/**
 * Where `file` leads, link by link, without a call that might wait: what lies on a mount apart is not looked at. By calls
 * that hold everything up, because each takes microseconds on a disk that is there, and a thread's way there and back
 * takes many times that.
 */
export function locate(file: string, follow: 'links' | 'parents', mounts = currentMountsApart()): Place {
  let at = '/';
  let found: Stats | undefined;
  let links = 0;
  const rest = partsOf(file).reverse();
  const root = mounts.get('/');
  if (root !== undefined) return { apart: root, real: file, found };
  while (rest.length > 0) {
    const name = rest.pop()!;
    const next = name === '..' ? path.dirname(at) : path.join(at, name);
    const whole = (): string => path.join(next, ...rest.toReversed());
    const apart = mounts.get(next);
    if (apart !== undefined) return { apart, real: whole(), found: undefined };
    try {
      found = lstatSync(next, { throwIfNoEntry: false });
      if (found === undefined) return { apart: undefined, real: whole(), found };
      if (found.isSymbolicLink() && (rest.length > 0 || follow === 'links')) {
        if (++links > MOST_LINKS) return { apart: undefined, real: file, found: undefined };
        const target = readlinkSync(next);
        if (target.startsWith('/')) at = '/';
        rest.push(...partsOf(target).reverse());
        found = undefined;
        continue;
      }
    } catch {
      // The call itself will say what is wrong, and where.
      return { apart: undefined, real: whole(), found: undefined };
    }
    at = next;
  }
  return { apart: undefined, real: at, found };
}

const partsOf = (file: string): string[] => file.split('/').filter((part) => part !== '' && part !== '.');

/** A mount apart in the tree under `directory`, which lies on none. */
export function mountUnder(directory: string, mounts = currentMountsApart()): Mount | undefined {
  const prefix = directory.endsWith('/') ? directory : `${directory}/`;
  return [...mounts.values()].find(({ point }) => point.startsWith(prefix));
}
