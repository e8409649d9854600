import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readNames, type Names } from '../users.js';
import { entryInfo, type EntryInfoInit } from './entry-info.js';

/** What is in `directory`, `depth` levels deep, parents before their children. Links are not followed. */
export async function listDirectory(directory: string, depth: number): Promise<EntryInfoInit[]> {
  return walk(directory, depth, await readNames());
}

async function walk(directory: string, depth: number, names: Names): Promise<EntryInfoInit[]> {
  const children = await readdir(directory, { withFileTypes: true });
  const entries: EntryInfoInit[] = [];
  for (const child of children.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    const file = path.join(directory, child.name);
    // What vanished since it was listed is left out.
    const entry = await entryInfo(file, names).catch(() => undefined);
    if (entry === undefined) continue;
    entries.push(entry);
    if (child.isDirectory() && depth > 1) entries.push(...(await walk(file, depth - 1, names).catch(() => [])));
  }
  return entries;
}
