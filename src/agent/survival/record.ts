import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { AgentState } from '../agent-state.js';

/** A process as the next agent has to know it. */
export interface ProcessRecord {
  pid: number;
  /** In the kernel's ticks since boot: another process of the same number has another one. */
  startTime: string;
  /** The request's `ProcessConfig`, as JSON. */
  config: unknown;
  tag: string | undefined;
  user: string;
  terminal: boolean;
  /** When its time is over, by the kernel's monotonic clock. */
  killAtMs: number | undefined;
}

export interface AgentRecord {
  /** Of the guest: what another boot left is of no use. */
  bootId: string;
  state: AgentState;
  reseed: { taken: number; wake: string | undefined };
  processes: ProcessRecord[];
}

export const BOOT_ID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Has the token in it: for the agent's user alone, and in memory only. */
const fileIn = (directory: string): string => path.join(directory, 'state.json');

/** What the agent before this one knew; undefined when this is the first. */
export function readRecord(directory: string): AgentRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(fileIn(directory), 'utf8')) as AgentRecord;
    return record.bootId === BOOT_ID ? record : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') console.error('the record cannot be read', error);
    return undefined;
  }
}

/** Replaced as a whole. */
export function writeRecord(directory: string, record: AgentRecord): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = `${fileIn(directory)}.draft`;
  writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
  renameSync(draft, fileIn(directory));
}

/** Undefined when there is no such process, or it has ended and was not waited for. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
