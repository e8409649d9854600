import type { VmDriver } from '../libvirt/driver.js';
import type { Logger } from '../log.js';
import type { SandboxIndex } from './sandbox-index.js';
import type { SandboxLocks } from './sandbox-locks.js';

const LOOK_EVERY_MS = 2_000;

/**
 * Notices machines that ended by themselves (QEMU died, the guest powered off, the host was rebooted) and reports them
 * to their workflows. One that stands though it is said to run (QEMU stops it when its disk has no room) is let run again,
 * as often as it is found. A sandbox whose lock is held is being worked on and is left out.
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
  log: Logger;
}): () => void {
  const { driver, index, locks, domainPrefix, howItEnded, report, log } = options;
  let looking = false;
  const isSame = (id: string, generation: number): boolean => {
    const now = index.get(id);
    return now?.phase.name === 'running' && now.generation === generation;
  };
  const letRun = async (id: string, generation: number, name: string): Promise<void> => {
    try {
      await locks.holdUntilNeeded(id, generation, new AbortController().signal, async () => {
        if (!isSame(id, generation) || (await driver.state(name)) !== 'paused') return;
        await driver.run(name);
        log.warn({ sandbox: id }, 'a machine stood still, as it does when its disk has no room; it runs again');
      });
    } catch (error) {
      log.warn({ sandbox: id, err: error }, 'a machine stands still, and could not be let run');
    }
  };
  const look = async (): Promise<void> => {
    const expected = index.all().filter(({ id, phase }) => phase.name === 'running' && !locks.isHeld(id));
    if (expected.length === 0) return;
    const live = new Set(await driver.list(domainPrefix));
    const standing = new Set(await driver.listStanding(domainPrefix));
    for (const { id, generation } of expected) {
      if (!isSame(id, generation) || locks.isHeld(id)) continue;
      const name = `${domainPrefix}${id}`;
      if (standing.has(name)) await letRun(id, generation, name);
      if (live.has(name)) continue;
      log.warn({ sandbox: id, generation }, 'a machine has ended by itself');
      await report(
        id,
        generation,
        howItEnded(id) ?? 'it is no longer there (its QEMU ended, the guest powered off, or the host was restarted)',
      );
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
