import { readFile, statfs } from 'node:fs/promises';
import { cpus } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

const SAMPLE_MS = 200;
const MIB = 1024 * 1024;

export async function readMetrics(): Promise<Record<string, number>> {
  const [cpuUsed, memory, disk] = await Promise.all([cpuUsedPercent(), readMemory(), statfs('/')]);
  const used = memory.total - memory.available;
  return {
    ts: Math.floor(Date.now() / 1000),
    cpu_count: cpus().length,
    cpu_used_pct: cpuUsed,
    mem_total: memory.total,
    mem_used: used,
    mem_cache: memory.cached,
    mem_total_mib: Math.floor(memory.total / MIB),
    mem_used_mib: Math.floor(used / MIB),
    disk_used: (disk.blocks - disk.bfree) * disk.bsize,
    disk_total: disk.blocks * disk.bsize,
  };
}

async function cpuUsedPercent(): Promise<number> {
  const before = cpuTicks();
  await delay(SAMPLE_MS);
  const after = cpuTicks();
  const total = after.total - before.total;
  return total === 0 ? 0 : Math.round(10_000 * (1 - (after.idle - before.idle) / total)) / 100;
}

function cpuTicks(): { idle: number; total: number } {
  const times = cpus().map((cpu) => cpu.times);
  const sum = (values: number[]): number => values.reduce((one, other) => one + other, 0);
  return { idle: sum(times.map((cpu) => cpu.idle)), total: sum(times.flatMap((cpu) => Object.values(cpu))) };
}

async function readMemory(): Promise<{ total: number; available: number; cached: number }> {
  const text = await readFile('/proc/meminfo', 'utf8');
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { total: bytes('MemTotal'), available: bytes('MemAvailable'), cached: bytes('Cached') };
}
