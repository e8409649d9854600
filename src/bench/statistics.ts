/** One line of the table: what is compared with its goal. */
export interface Row {
  name: string;
  /** As people read it, such as `<= 1.0 x floor`; empty: shown beside the others only. */
  goal: string;
  /** Median of the runs, or a ratio of two medians. */
  value: number;
  unit: string;
  better: 'lower' | 'higher';
  runs: number;
  /** Smallest and largest run. */
  spread: [number, number];
  /** The goal as a number in `unit`. */
  limit?: number;
  /** Whether the bench fails when the goal is missed. */
  must?: boolean;
  /** What stands behind a ratio, such as `0.45 s beside 0.62 s`. */
  figure?: string;
}

export type Goal = Pick<Row, 'goal' | 'limit' | 'must'>;

/** @throws Error without values. */
export function median(values: number[]): number {
  if (values.length === 0) throw new Error('nothing was measured, so there is no median');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The run that stands for all: the one nearest to the median. */
export function medianIndex(values: number[]): number {
  const middle = median(values);
  const distances = values.map((value) => Math.abs(value - middle));
  return distances.indexOf(Math.min(...distances));
}

/** Of runs of one thing. */
export const row = (name: string, goal: Goal | undefined, unit: string, values: number[]): Row => ({
  ...{ name, goal: '', ...goal, unit, better: 'lower' as const, runs: values.length },
  value: median(values),
  spread: [Math.min(...values), Math.max(...values)],
});

/** Of two medians, both in `unit`; the spread is the widest that their runs allow. */
export const ratio = (name: string, goal: Goal | undefined, above: number[], below: number[], unit = 's'): Row => ({
  ...{ name, goal: '', ...goal, unit: 'x', better: 'lower' as const, runs: Math.min(above.length, below.length) },
  value: median(above) / median(below),
  spread: [Math.min(...above) / Math.max(...below), Math.max(...above) / Math.min(...below)],
  figure: `${shown(median(above))} ${unit} beside ${shown(median(below))} ${unit}`,
});

/** @returns undefined for a row without a limit. */
export function holds({ limit, value, better }: Row): boolean | undefined {
  if (limit === undefined) return undefined;
  return better === 'lower' ? value <= limit : value >= limit;
}

/** With as many digits as say something. */
export const shown = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0);

export const mib = (bytes: number[]): number[] => bytes.map((value) => value / 2 ** 20);
