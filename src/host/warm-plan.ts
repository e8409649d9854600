import type { Phase } from './manifest.js';

/** A warm machine of this host, as its manifest has it. */
export interface WarmMachine {
  id: string;
  templateKey: string;
  phase: Phase['name'];
  startedAt: number;
}

export interface WarmPlan {
  /** One more machine, if any: they are made one after the other. */
  start: boolean;
  discard: { id: string; why: string }[];
}

/**
 * What the warm pool needs now, pure: machines of the newest template, as many as configured, for as long as nobody else
 * needs the room.
 * @param facts.newest key of the newest template; undefined when there is none
 * @param facts.othersAreMade a sandbox of somebody's is being made or woken: it has the processors to itself
 * @param facts.fits there is room for one more machine beside all others
 */
export function planWarm(facts: {
  size: number;
  newest: string | undefined;
  machines: readonly WarmMachine[];
  othersAreMade: boolean;
  fits: boolean;
}): WarmPlan {
  const { size, newest, machines, othersAreMade, fits } = facts;
  const usable = machines.filter((machine) => machine.templateKey === newest && isGood(machine));
  const kept = [...usable].sort(readyFirst).slice(0, size);
  const discard = machines
    .filter((machine) => !kept.includes(machine))
    .map((machine) => ({ id: machine.id, why: whyDiscard(machine, newest) }));
  return { start: kept.length < size && newest !== undefined && fits && !othersAreMade, discard };
}

const isGood = ({ phase }: WarmMachine): boolean => phase === 'running' || phase === 'creating';

const readyFirst = (a: WarmMachine, b: WarmMachine): number =>
  Number(b.phase === 'running') - Number(a.phase === 'running') || a.startedAt - b.startedAt;

function whyDiscard(machine: WarmMachine, newest: string | undefined): string {
  if (machine.templateKey !== newest) return 'there is a newer template, or none any more';
  return isGood(machine) ? 'more than DORMOUSE_WARM_POOL' : `its manifest says "${machine.phase}"`;
}
