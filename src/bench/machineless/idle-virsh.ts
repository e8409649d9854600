import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * A `virsh` that does nothing, for libvirt's secrets. Only what is started with its directory first in PATH finds it.
 * @returns the directory.
 */
export async function idleVirsh(stateDir: string): Promise<string> {
  const directory = path.join(stateDir, 'programs');
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'virsh'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  return directory;
}
