import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { SandboxPaths } from '../src/host/state-paths.js';

/** Removes all sealed images but the one of `keep`, and what interrupted attempts at writing one left. */
export async function removeImages(paths: SandboxPaths, keep: number | undefined): Promise<void> {
  const kept = keep === undefined ? undefined : path.basename(paths.image(keep));
  for (const name of await readdir(paths.directory)) {
    if (name !== kept && /^image-\d+\.sealed(\.|$)/.test(name))
      await rm(path.join(paths.directory, name), { force: true });
  }
}
