import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Measurement } from './measurement.js';
import { svg } from './plot.js';
import { holds, shown, type Row } from './statistics.js';
import type { StoredResult } from './stored-result.js';
import { traceText } from './trace-text.js';

const PLOTS = 'plots';

/** The rows as a Markdown table. `*`: the bench fails when it is missed. */
export function table(rows: Row[]): string {
  const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
  const verdict = (row: Row): string => ({ true: 'yes', false: '**no**', undefined: '' })[String(holds(row))]!;
  return [
    line(['what', 'goal', 'value', 'spread', 'runs', 'figure', 'holds']),
    line(Array<string>(7).fill('---')),
    ...rows.map((row) =>
      line([
        `${row.must === true ? '* ' : ''}${row.name}`,
        row.goal,
        `${shown(row.value)} ${row.unit}`,
        row.spread.map(shown).join(' to '),
        String(row.runs),
        row.figure ?? '',
        verdict(row),
      ]),
    ),
  ].join('\n');
}

/** The results page, from what was stored. */
export function resultsPage(results: StoredResult[], measurements: Measurement[]): string {
  const of = (result: StoredResult): Measurement | undefined =>
    measurements.find(({ name }) => name === result.measurement);
  const missing = measurements.filter(({ name }) => !results.some(({ measurement }) => measurement === name));
  return [
    '# Results',
    'Written by `make bench` (`npm run bench -- --page docs`), not by hand. Values are medians, or ratios of medians ' +
      'of the same run; rows with `*` must hold. The floor is what plain libvirt needs for an equal guest: `virsh save` ' +
      "onto the state directory's filesystem and fsync, `virsh restore` from there until the guest's agent answers; no encryption.",
    table(results.flatMap(({ rows }) => rows).filter(({ goal }) => goal !== '')),
    ...(missing.length === 0
      ? []
      : [`Not measured yet: ${missing.map(({ name, rows }) => `\`${name}\` (${rows.join('; ')})`).join(', ')}.`]),
    ...results.flatMap((result) => section(result, of(result))),
  ]
    .join('\n\n')
    .concat('\n');
}

function section(result: StoredResult, measurement: Measurement | undefined): string[] {
  const { machine, plots = [], traces = [], notes = [] } = result;
  return [
    `## ${result.measurement}`,
    measurement?.about ?? '',
    `Commit ${result.commit}, ${result.at.slice(0, 16).replace('T', ' ')} UTC; ${machine.cores} cores (${machine.cpu}), ` +
      `${machine.memoryGiB} GiB, ${machine.accelerator}, QEMU ${machine.qemu}, ${machine.libvirt}, Node ${machine.node}, Linux ${machine.kernel}.`,
    table(result.rows),
    ...notes,
    ...plots.map((plot) => `![${plot.title}](${PLOTS}/${plot.name}.svg)`),
    ...traces.flatMap((trace) => ['```\n' + traceText(trace) + '\n```']),
  ].filter((paragraph) => paragraph !== '');
}

/** Writes `results.md` and its plots. */
export async function writePage(
  directory: string,
  results: StoredResult[],
  measurements: Measurement[],
): Promise<void> {
  await mkdir(path.join(directory, PLOTS), { recursive: true });
  await writeFile(path.join(directory, 'results.md'), resultsPage(results, measurements));
  for (const plot of results.flatMap(({ plots = [] }) => plots)) {
    await writeFile(path.join(directory, PLOTS, `${plot.name}.svg`), svg(plot));
  }
}
