import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { MachineFacts } from './machine-facts.js';
import type { Outcome } from './measurement.js';

/** What one measurement gave, and where and of what. */
export interface StoredResult extends Outcome {
  measurement: string;
  /** RFC 3339. */
  at: string;
  commit: string;
  machine: MachineFacts;
}

/** Kept as `<directory>/<measurement>/<time>.json`; nothing is overwritten. */
export async function storeResult(directory: string, result: StoredResult): Promise<void> {
  const own = path.join(directory, result.measurement);
  await mkdir(own, { recursive: true });
  await writeFile(path.join(own, `${result.at.replaceAll(':', '-')}.json`), JSON.stringify(result, null, 1));
}

/** The newest result of each of the measurements that have one, in their order. */
export async function newestResults(directory: string, measurements: string[]): Promise<StoredResult[]> {
  const found = await Promise.all(
    measurements.map(async (name) => {
      const own = path.join(directory, name);
      const files = (await readdir(own).catch(() => [])).filter((file) => file.endsWith('.json')).sort();
      const newest = files.at(-1);
      return newest === undefined ? [] : [JSON.parse(await readFile(path.join(own, newest), 'utf8')) as StoredResult];
    }),
  );
  return found.flat();
}
