import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Manifest } from '../../src/host/manifest.js';

/** The warm machines of a state directory that run, by their manifests: no call tells of them. */
export async function warmMachines(stateDir: string): Promise<Manifest[]> {
  const directory = path.join(stateDir, 'sandboxes');
  const manifests = await Promise.all(
    (await readdir(directory)).map((id) =>
      readFile(path.join(directory, id, 'manifest.json'), 'utf8').then(
        (text) => JSON.parse(text) as Manifest,
        () => undefined,
      ),
    ),
  );
  return manifests.filter(
    (found): found is Manifest => found?.view.spec.warm === true && found.phase.name === 'running',
  );
}
