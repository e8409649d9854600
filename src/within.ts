/** Keeps what a signal depends on for as long as the signal itself is kept. */
const sources = new WeakMap<AbortSignal, AbortSignal[]>();

/**
 * Aborts after `ms`, or with any of `signals`.
 *
 * Danger: a plain `AbortSignal.any([signal, AbortSignal.timeout(ms)])` holds its timeout weakly. In Node 20, where nothing
 * listens to it at the moment of a garbage collection, the timeout is collected and never comes.
 */
export function within(ms: number, ...signals: AbortSignal[]): AbortSignal {
  const all = [...signals, AbortSignal.timeout(ms)];
  const any = AbortSignal.any(all);
  sources.set(any, all);
  return any;
}
