import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { VmDriver } from '../libvirt/driver.js';

export const BUILD_PREFIX = 'template-';

/**
 * Ends what a build has left that was killed: its machine would hold unix user and address of every build to come.
 * Under the lock of builds, so that none of them is alive.
 *
 * @param memoryRoot where builds have their memory; those of other services, elsewhere, are left alone
 */
export async function clearLeftBuilds(driver: Pick<VmDriver, 'destroy'>, memoryRoot: string): Promise<void> {
  const entries = (await readdir(memoryRoot)).filter((name) => name.startsWith(BUILD_PREFIX));
  for (const entry of entries) {
    await driver.destroy(path.parse(entry).name);
    await rm(path.join(memoryRoot, entry), { recursive: true, force: true });
  }
}
