import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** Of two groups whose nice values differ by one, the other has so much more of a processor (sched(7)). */
const A_STEP = 1.25;
const HIGHEST_NICE = 19;

/** @param share of what a machine is born with, at most 1 */
export const niceOf = (share: number): number =>
  Math.min(HIGHEST_NICE, Math.round(Math.log(1 / share) / Math.log(A_STEP)));

/**
 * Where nobody keeps cgroups, the kernel divides processors among sessions (sched(7), "The autogroup feature"), and the QEMU of
 * each machine is one.
 *
 * @returns whether the kernel does so, and the machine has its share
 */
export async function setGroupNice(
  name: string,
  share: number,
  { run = '/run/libvirt/qemu', proc = '/proc' } = {},
): Promise<boolean> {
  try {
    if ((await readFile(path.join(proc, 'sys/kernel/sched_autogroup_enabled'), 'utf8')).trim() !== '1') return false;
    const pid = (await readFile(path.join(run, `${name}.pid`), 'utf8')).trim();
    await writeFile(path.join(proc, pid, 'autogroup'), String(niceOf(share)));
    return true;
  } catch {
    return false;
  }
}
