export interface Row {
  name: string;
  goal: string;
  value: number;
  unit: string;
  better: 'lower' | 'higher';
  runs: number;
  /** Smallest and largest run. */
  spread: [number, number];
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const row = (name: string, goal: string, unit: string, values: number[]): Row => ({
  ...{ name, goal, unit, better: 'lower' as const, runs: values.length },
  value: median(values),
  spread: [Math.min(...values), Math.max(...values)],
});

/** Of two medians; the spread is the widest that their runs allow. */
export const ratio = (name: string, goal: string, above: number[], below: number[]): Row => ({
  ...{ name, goal, unit: 'x', better: 'lower' as const, runs: Math.min(above.length, below.length) },
  value: median(above) / median(below),
  spread: [Math.min(...above) / Math.max(...below), Math.max(...above) / Math.min(...below)],
});

export function table(rows: Row[]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const number = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
  return [
    line(['what', 'goal', 'median', 'spread', 'runs']),
    line(['---', '---', '---', '---', '---']),
    ...rows.map((item) =>
      line([
        item.name,
        item.goal,
        `${number(item.value)} ${item.unit}`,
        item.spread.map(number).join(' to '),
        String(item.runs),
      ]),
    ),
  ].join('\n');
}
