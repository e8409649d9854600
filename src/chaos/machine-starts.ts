import { readFile } from 'node:fs/promises';
import { DOMAIN_PREFIX } from '../../activities/machine.js';
import { faultName, type Case } from './plan.js';

/** How often QEMU was started for a sandbox, by libvirt's own log of the machine. */
export async function machineStarts(id: string): Promise<number> {
  const log = await readFile(`/var/log/libvirt/qemu/${DOMAIN_PREFIX}${id}.log`, 'utf8').catch(() => '');
  return log.split('\n').filter((line) => line.includes(': starting up')).length;
}

/** From here on a virtual CPU has run, or may have: whoever starts the machine again uses its image twice. */
const HAS_RUN = /crash at resume\.(consumed|ran|agent-ready|settled|image-removed)\b/;

/** Invariant 6, seen from outside; pure. @returns what is wrong, or undefined. */
export function usedTwice({ step, fault }: Case, starts: number): string | undefined {
  if (step !== 'resume' || !HAS_RUN.test(faultName(fault)) || starts === 1) return undefined;
  return `its machine was started ${starts} times: its image was used after it had run`;
}
