import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** No build takes this long. */
const MIN_AGE_MS = 3_600_000;

/** Removes what interrupted builds left among the templates. @returns their names. */
export async function sweepDrafts(templateDir: string, now: number): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(templateDir).catch(() => [])) {
    const directory = path.join(templateDir, name);
    if (!name.startsWith('draft.') || (await newestChange(directory)) > now - MIN_AGE_MS) continue;
    await rm(directory, { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}

async function newestChange(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const times = await Promise.all(
    [directory, ...names.map((name) => path.join(directory, name))].map((file) =>
      stat(file).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return Math.max(0, ...times);
}
