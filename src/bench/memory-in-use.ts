import { runCommand, type AgentDoor } from './run-command.js';

export interface MemoryInUse {
  /** Bytes of programs, the kernel's included: what `free` counts as used. */
  programs: number;
  /** Bytes that hold anything at all: the same and what is kept of files. */
  all: number;
}

/** As the guest itself says. */
export async function memoryInUse(door: AgentDoor): Promise<MemoryInUse> {
  const { output } = await runCommand(door, 'cat /proc/meminfo');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(output)?.[1]) * 1024;
  const total = bytes('MemTotal');
  return { programs: total - bytes('MemAvailable'), all: total - bytes('MemFree') };
}
