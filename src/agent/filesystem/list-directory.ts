import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { Turn } from '../turn.js';
import { readNames, type Names } from '../users.js';
import { entryInfo, type EntryInfoInit } from './entry-info.js';

export interface ListOptions {
  /** Ends the work with its reason. */
  signal?: AbortSignal | undefined;
  /** Called some times a second, whenever others had their turn. */
  onTurn?: () => void;
  /** How entries are dealt with at which a call might wait for ever; undefined: like any other. */
  describe?: (file: string, child: Dirent) => Promise<EntryInfoInit> | undefined;
  list?: (file: string, depth: number) => Promise<EntryInfoInit[]> | undefined;
}

/**
 * What is in `directory`, `depth` levels deep, parents before their children. Links are not followed. Entries are looked at by
 * calls that hold everything up, for the reason that `locate` gives, some milliseconds at a time.
 */
export async function listDirectory(
  directory: string,
  depth: number,
  options: ListOptions = {},
): Promise<EntryInfoInit[]> {
  const turn = new Turn(options.signal, options.onTurn);
  const listing: Listing = { entries: [], names: await readNames(), turn, options };
  await walk(directory, depth, listing);
  return listing.entries;
}

interface Listing {
  entries: EntryInfoInit[];
  names: Names;
  turn: Turn;
  options: ListOptions;
}

async function walk(directory: string, depth: number, listing: Listing): Promise<void> {
  const { entries, names, turn, options } = listing;
  const children = await readdir(directory, { withFileTypes: true });
  turn.begin();
  const prefix = directory.endsWith('/') ? directory : `${directory}/`;
  for (const child of children.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (turn.isOver()) await turn.next();
    const file = prefix + child.name;
    const described = options.describe?.(file, child);
    const entry = described === undefined ? present(file, names) : await described.catch(() => undefined);
    if (described !== undefined) turn.begin();
    if (entry === undefined) continue;
    entries.push(entry);
    if (!child.isDirectory() || depth <= 1) continue;
    await inside(file, depth - 1, listing).catch(() => undefined);
    turn.begin();
  }
}

async function inside(directory: string, depth: number, listing: Listing): Promise<void> {
  const listed = listing.options.list?.(directory, depth);
  if (listed === undefined) return walk(directory, depth, listing);
  for (const entry of await listed) listing.entries.push(entry);
}

/** What vanished since it was listed is left out. */
function present(file: string, names: Names): EntryInfoInit | undefined {
  try {
    return entryInfo(file, names);
  } catch {
    return undefined;
  }
}
