import { readdir, readFile } from 'node:fs/promises';
import type { ProcessFact } from './observation.js';

export interface RunningProcess {
  pid: number;
  args: string[];
}

/** Every process of the machine, with its arguments. */
export async function runningProcesses(): Promise<RunningProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return { pid, args: line.split('\0').filter((arg) => arg !== '') };
    }),
  );
  return found.filter(({ args }) => args.length > 0);
}

/**
 * QEMU processes whose memory file is in this state directory, and passt processes of its sandboxes, pure. passt's
 * command line carries the beginning of the domain's name only; `known` are the ids that it may belong to.
 */
export function guestProcesses(
  processes: RunningProcess[],
  options: { stateDir: string; domainPrefix: string; known: ReadonlySet<string> },
): ProcessFact[] {
  const { stateDir, domainPrefix, known } = options;
  const memoryFile = new RegExp(`mem-path=${escaped(stateDir)}/memory/([a-z0-9]+)/`);
  const socket = new RegExp(`/\\d+-${escaped(domainPrefix)}([a-z0-9]+)-net\\d+\\.socket$`);
  return processes.flatMap(({ pid, args }): ProcessFact[] => {
    if (args[0]?.includes('qemu-system') === true) {
      const id = args.map((arg) => memoryFile.exec(arg)?.[1]).find((found) => found !== undefined);
      return id === undefined ? [] : [{ pid, kind: 'qemu', id }];
    }
    if (args[0]?.split('/').at(-1)?.startsWith('passt') !== true) return [];
    const start = args.map((arg) => socket.exec(arg)?.[1]).find((found) => found !== undefined);
    const id = start === undefined ? undefined : [...known].find((one) => one.startsWith(start));
    return id === undefined ? [] : [{ pid, kind: 'passt', id }];
  });
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
