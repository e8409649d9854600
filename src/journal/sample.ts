import { z } from 'zod';
import type { MetricSample } from '../gateway/wire.js';

/** No machine of ours comes near: larger numbers are nonsense. */
const MOST_BYTES = 2 ** 50;
const MOST_CPUS = 1_024;

const bytes = z.number().int().min(0).max(MOST_BYTES);

const answer = z.object({
  cpu_count: z.number().int().min(1).max(MOST_CPUS),
  cpu_used_pct: z.number().min(0).max(100),
  mem_total: bytes,
  mem_used: bytes,
  mem_cache: bytes.default(0),
  disk_total: bytes,
  disk_used: bytes,
});

/**
 * What the agent said, as a sample of the host's time. The guest is hostile: what is no number of a machine makes no
 * sample, what contradicts itself is cut to what can be.
 */
export function sampleOf(text: unknown, at: number): MetricSample | undefined {
  const parsed = answer.safeParse(text);
  if (!parsed.success) return undefined;
  const said = parsed.data;
  return {
    at,
    cpuCount: said.cpu_count,
    cpuUsedPct: Math.round(said.cpu_used_pct * 100) / 100,
    memTotal: said.mem_total,
    memUsed: Math.min(said.mem_used, said.mem_total),
    memCache: Math.min(said.mem_cache, said.mem_total),
    diskTotal: said.disk_total,
    diskUsed: Math.min(said.disk_used, said.disk_total),
  };
}

export const metricSample = z.object({
  at: z.number(),
  cpuCount: z.number(),
  cpuUsedPct: z.number(),
  memTotal: z.number(),
  memUsed: z.number(),
  memCache: z.number(),
  diskTotal: z.number(),
  diskUsed: z.number(),
}) satisfies z.ZodType<MetricSample>;
