import { chmod, mkdir, readFile } from 'node:fs/promises';
import { execa } from 'execa';
import path from 'node:path';
import type { Config } from '../config.js';
import { StatePaths } from '../host/state-paths.js';

/** Unix users of guests pass through these directories, and list none of them. */
const PASS_THROUGH = 0o711;

export async function prepareDirectories(config: Config): Promise<void> {
  const paths = new StatePaths(config.stateDir);
  for (const directory of [
    config.home,
    config.toolsDir,
    config.templateDir,
    config.stateDir,
    paths.sandboxes,
    paths.memory,
  ]) {
    await mkdir(directory, { recursive: true });
    await chmod(directory, PASS_THROUGH);
  }
  await mkdir(paths.overlayPool, { recursive: true, mode: 0o700 });
  await mkdir(path.join(config.stateDir, 'logs'), { recursive: true, mode: 0o700 });
  await mountMemory(paths.memory);
}

/** Guests' memory stays in memory: a tmpfs that is never swapped out, or no swap at all. */
async function mountMemory(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1]);
  if (mounts.includes(directory)) return;
  const options = `mode=${PASS_THROUGH.toString(8)},size=95%,nosuid,nodev,noexec`;
  const noswap = await execa('mount', ['-t', 'tmpfs', '-o', `${options},noswap`, 'dormouse', directory], {
    reject: false,
  });
  if (noswap.exitCode === 0) return;
  const swaps = (await readFile('/proc/swaps', 'utf8')).trim().split('\n').slice(1);
  if (swaps.length > 0) {
    throw new Error(
      `guests' memory could be swapped to disk unencrypted: this kernel has no tmpfs option noswap (Linux >= 6.4), and swap is on ` +
        `(${swaps.map((line) => line.split(/\s+/)[0]).join(', ')}). Turn swap off, or use a newer kernel.`,
    );
  }
  await execa('mount', ['-t', 'tmpfs', '-o', options, 'dormouse', directory]);
}
