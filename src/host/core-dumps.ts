import { execa } from 'execa';

/**
 * A core dump of this process would write its keys to the disk, in the clear.
 *
 * @throws Error when the limit cannot be set
 */
export async function forbidCoreDumps(pid = process.pid): Promise<void> {
  await execa('prlimit', ['--pid', String(pid), '--core=0:0']);
}
