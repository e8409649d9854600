/** How long a guest has told nothing of itself, by what the host can see from outside. */
export interface Silence {
  /** Since its agent last answered. */
  agentMs: number;
  /** Since anything in it answered: a connection that is refused at once is the guest's kernel. */
  kernelMs: number;
  /** What its machine has used since it was asked again and again. */
  cpuSeconds: number;
  /** It boots, or may: that takes its time. */
  boots: boolean;
}

/** A guest that is asked every quarter of a minute is asked more often from then on. */
export const SUSPECT_AFTER_MS = 20_000;
/**
 * So much longer may a guest be silent that boots, whose kernel answers, or whose virtual CPUs get little of the host's: it
 * waits for its turn rather than that it has crashed.
 */
const PATIENCE = 8;
/** An idle guest's timer uses more within minutes; one that got less did not run. */
const HARDLY_RUNS_SECONDS = 0.1;

/**
 * Whether a guest has crashed though its QEMU lives; pure.
 *
 * A busy host must end nobody. So a short silence counts only against a guest that got at least half of a CPU
 * meanwhile, and one that does not run at all is not judged.
 * @returns why it must have crashed, in words for people; undefined while it may live
 */
export function crashIn({ agentMs, kernelMs, cpuSeconds, boots }: Silence, afterMs: number): string | undefined {
  const ran = cpuSeconds * 1000 >= (afterMs - SUSPECT_AFTER_MS) / 2;
  const soon = !boots && ran && agentMs >= afterMs && kernelMs >= afterMs;
  const late = agentMs >= PATIENCE * afterMs && cpuSeconds >= HARDLY_RUNS_SECONDS;
  if (!soon && !late) return undefined;
  return `its guest has crashed: its agent has not answered for ${Math.round(agentMs / 1000)} s, though its virtual CPUs ran (${cpuSeconds.toFixed(1)} s of CPU time)`;
}
