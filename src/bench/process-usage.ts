import { readFile, stat } from 'node:fs/promises';
import { runningProcesses } from '../invariants/observe-processes.js';

/** `USER_HZ` of Linux on every architecture that is left. */
const TICKS_PER_SECOND = 100;
const KIB_PER_MIB = 1024;

/** CPU time that a process has taken so far, s. @throws Error when it is gone. */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th field after it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process, MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / KIB_PER_MIB;
}

/** Of a QEMU: what it takes beside the guest's memory, MiB. */
export async function overheadMiB(pid: number, guestMiB: number): Promise<number> {
  return besideGuestKiB(await readFile(`/proc/${pid}/smaps`, 'utf8'), guestMiB * KIB_PER_MIB) / KIB_PER_MIB;
}

/**
 * Resident KiB without the guest's memory, pure: that is the fullest mapping of at least its size which holds no code
 * (translated code of an emulated guest is as large).
 */
export function besideGuestKiB(smaps: string, guestKiB: number): number {
  const mappings = smaps
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .filter((text) => text.trim() !== '')
    .map((text) => ({
      executable: /^\S+ ..x/.test(text),
      size: Number(/^Size:\s+(\d+) kB/m.exec(text)?.[1]),
      resident: Number(/^Rss:\s+(\d+) kB/m.exec(text)?.[1]),
    }));
  const all = mappings.reduce((sum, { resident }) => sum + resident, 0);
  const guest = mappings.filter(({ executable, size }) => !executable && size >= guestKiB);
  return all - Math.max(0, ...guest.map(({ resident }) => resident));
}

export interface MachineProcesses {
  qemu: number;
  passt: number;
}

/** QEMU of a domain, and the passt that runs as the same user. @returns undefined when there is neither. */
export async function machineProcesses(domain: string): Promise<MachineProcesses | undefined> {
  const all = await runningProcesses();
  const qemu = all.find(({ args }) => args.some((arg) => arg.startsWith(`guest=${domain},`)));
  if (qemu === undefined) return undefined;
  const uid = await ownerOf(qemu.pid);
  for (const { pid, args } of all) {
    if (args[0]?.split('/').at(-1)?.startsWith('passt') === true && (await ownerOf(pid)) === uid) {
      return { qemu: qemu.pid, passt: pid };
    }
  }
  throw new Error(`domain ${domain} has a QEMU and no passt`);
}

const ownerOf = (pid: number): Promise<number | undefined> =>
  stat(`/proc/${pid}`).then(
    ({ uid }) => uid,
    () => undefined,
  );

/** Whether a process of this id runs. */
export const isThere = async (pid: number): Promise<boolean> => (await ownerOf(pid)) !== undefined;

/** CPU use of each process over so many seconds, in per cent of one core. */
export async function cpuPercent(pids: number[], seconds: number): Promise<number[]> {
  const start = performance.now();
  const before = await Promise.all(pids.map(cpuSeconds));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await Promise.all(pids.map(cpuSeconds));
  const passed = (performance.now() - start) / 1000;
  return after.map((value, index) => ((value - before[index]!) / passed) * 100);
}
