import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import type { SandboxIndex } from './sandbox-index.js';
import type { SandboxLocks } from './sandbox-locks.js';
import { StandingMachines } from './standing-machines.js';

const LOOK_EVERY_MS = 2_000;

/**
 * Notices machines that ended by themselves (QEMU died, the guest powered off, the host was rebooted) and reports them
 * to their workflows. A machine that is stopped is resumed, unless it is held for want of disk. A sandbox whose lock is
 * held is being worked on and is left out.
 * @returns stops watching.
 */
export function watchMachines(options: {
  driver: VmDriver;
  index: SandboxIndex;
  locks: SandboxLocks;
  domainPrefix: string;
  /** What was heard of the end of a sandbox's machine, if anything. */
  howItEnded: (id: string) => string | undefined;
  report: (id: string, generation: number, reason: string) => Promise<void>;
  /** Its machine stands because this host wants it to. */
  isHeld?: (id: string) => boolean;
  /** Called for every sandbox whose machine stands. */
  stands?: (id: string) => void;
  log: Logger;
}): () => void {
  const { driver, index, locks, domainPrefix, howItEnded, report, log } = options;
  let looking = false;
  const standing = new StandingMachines({ driver, index, locks, domainPrefix, log });
  const look = async (): Promise<void> => {
    const expected = index.all().filter(({ id, phase }) => phase.name === 'running' && !locks.isHeld(id));
    if (expected.length === 0) return;
    const live = new Set(await driver.list(domainPrefix));
    const still = new Set(await driver.listStanding(domainPrefix));
    const standingIds = expected.flatMap(({ id }) => (still.has(`${domainPrefix}${id}`) ? [id] : []));
    for (const id of standingIds) options.stands?.(id);
    standing.letRun(new Set(standingIds.filter((id) => options.isHeld?.(id) !== true)));
    for (const { id, generation } of expected) {
      const now = index.get(id);
      const same = now?.phase.name === 'running' && now.generation === generation && !locks.isHeld(id);
      if (live.has(`${domainPrefix}${id}`) || !same) continue;
      const reason =
        howItEnded(id) ?? 'it is no longer there (its QEMU ended, the guest powered off, or the host was restarted)';
      log.warn({ sandbox: id, generation, reason }, 'a machine has ended by itself');
      await report(id, generation, reason);
    }
  };
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look()
      .catch((error: unknown) => log.warn({ err: error }, 'could not look after the machines'))
      .finally(() => (looking = false));
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
