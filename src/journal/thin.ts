import type { LogEntry, MetricSample } from '../gateway/wire.js';

/** Half as many of the older half: what is long past is still there, in coarser steps. */
export function thinSamples(samples: readonly MetricSample[]): MetricSample[] {
  const middle = Math.floor(samples.length / 2);
  return samples.filter((_sample, index) => index >= middle || index % 2 === 0);
}

/** Entries of the host that stay when a log is thinned out; a guest that is busy must not push them out. */
const KEPT_OF_HOST = 500;

/** The newer half of what the guest did, and the newest of what happened to the sandbox. */
export function thinLog(entries: readonly LogEntry[]): LogEntry[] {
  const ofHost = entries.filter(({ fields }) => fields['source'] === 'host');
  const ofGuest = entries.filter(({ fields }) => fields['source'] !== 'host');
  const kept = new Set([...ofHost.slice(-KEPT_OF_HOST), ...ofGuest.slice(Math.ceil(ofGuest.length / 2))]);
  return entries.filter((entry) => kept.has(entry));
}
