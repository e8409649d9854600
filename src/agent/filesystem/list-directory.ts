import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readNames, type Names } from '../users.js';
import { entryInfo, type EntryInfoInit } from './entry-info.js';

/** How entries are dealt with at which a call might wait for ever; undefined: like any other. */
export interface ListOptions {
  onEntry?: () => void;
  describe?: (file: string, child: Dirent) => Promise<EntryInfoInit> | undefined;
  list?: (file: string, depth: number) => Promise<EntryInfoInit[]> | undefined;
}

/** What is in `directory`, `depth` levels deep, parents before their children. Links are not followed. */
export async function listDirectory(
  directory: string,
  depth: number,
  options: ListOptions = {},
): Promise<EntryInfoInit[]> {
  return walk(directory, depth, await readNames(), options);
}

async function walk(directory: string, depth: number, names: Names, options: ListOptions): Promise<EntryInfoInit[]> {
  const children = await readdir(directory, { withFileTypes: true });
  const entries: EntryInfoInit[] = [];
  for (const child of children.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const file = path.join(directory, child.name);
    // What vanished since it was listed is left out.
    const described = options.describe?.(file, child) ?? entryInfo(file, names);
    const entry = await described.catch(() => undefined);
    options.onEntry?.();
    if (entry === undefined) continue;
    entries.push(entry);
    if (!child.isDirectory() || depth <= 1) continue;
    const inside = options.list?.(file, depth - 1) ?? walk(file, depth - 1, names, options);
    entries.push(...(await inside.catch(() => [])));
  }
  return entries;
}
