import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { slotUid } from './slots.js';

/** What the host does about the unix user of a slot before another sandbox may get it. */
export interface SlotUsers {
  /** Ends every process of the slot's user, and removes what it left. @returns false when a process is still there. */
  clear(slot: number): Promise<boolean>;
  /** Slots whose users have a process. */
  inUse(): Promise<Set<number>>;
}

const GONE_WITHIN_MS = 3_000;
const LOOK_EVERY_MS = 50;

/**
 * A process that outlives its machine (one that took over QEMU or passt) must not become a process of the next sandbox
 * that gets its user: it could read that one's memory and disk.
 *
 * @param leftIn directories that every such user may write to
 */
export function unixSlotUsers(options: { uidBase: number; gid: number; count: number; leftIn: string[] }): SlotUsers {
  const { uidBase, gid, count, leftIn } = options;
  return {
    async clear(slot) {
      const uid = slotUid(uidBase, slot);
      const until = performance.now() + GONE_WITHIN_MS;
      while ((await usersOfProcesses()).has(uid)) {
        if (performance.now() > until) return false;
        await killAllOf(uid, gid);
        await delay(LOOK_EVERY_MS);
      }
      await Promise.all(leftIn.map((directory) => removeFilesOf(uid, directory)));
      return true;
    },
    async inUse() {
      const slots = [...(await usersOfProcesses())].map((uid) => uid - uidBase);
      return new Set(slots.filter((slot) => slot >= 0 && slot < count));
    },
  };
}

/** Real, effective, saved and file system users of all processes of the machine. */
export async function usersOfProcesses(): Promise<Set<number>> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const users = new Set<number>();
  for (const pid of pids) {
    // Its directory's owner would not do: a process can make that root.
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
    // A zombie runs nothing, and goes when its parent looks.
    if (/^State:\s+[ZX]/m.test(status)) continue;
    for (const uid of /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? []) users.add(Number(uid));
  }
  return users;
}

/** By the user itself: the kernel kills all of them at once, however fast they fork, and never a process of another user. */
async function killAllOf(uid: number, gid: number): Promise<void> {
  const as = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'];
  await execa('setpriv', [...as, 'sh', '-c', 'kill -KILL -1'], { reject: false });
}

/** Links, too: another sandbox's passt, or libvirt, must not find what this user planted. */
async function removeFilesOf(uid: number, directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const file = path.join(directory, name);
    const found = await lstat(file).catch(() => undefined);
    if (found?.uid === uid) await rm(file, { recursive: true, force: true });
  }
}
