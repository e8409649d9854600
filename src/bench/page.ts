import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Measurement } from './measurement.js';
import { svg } from './plot.js';
import { holds, shown, type Row } from './statistics.js';
import type { StoredResult } from './stored-result.js';
import { traceText } from './trace-text.js';

const PLOTS = 'plots';

const line = (cells: string[]): string => `| ${cells.join(' | ')} |`;
const HEAD = [
  line(['what', 'goal', 'value', 'spread', 'runs', 'figure', 'holds']),
  line(Array<string>(7).fill('---')),
] as const;

/** The rows as a Markdown table. `*`: the bench fails when it is missed. */
export const table = (rows: Row[]): string => [...HEAD, ...rows.map(tableLine)].join('\n');

function tableLine(row: Row): string {
  const verdict = { true: 'yes', false: '**no**', undefined: '' }[String(holds(row))]!;
  return line([
    `${row.must === true ? '* ' : ''}${row.name}`,
    row.goal,
    `${shown(row.value)} ${row.unit}`,
    row.spread.map(shown).join(' to '),
    String(row.runs),
    row.figure ?? '',
    verdict,
  ]);
}

/** A measurement's part of the page: the lines of its rows that have a goal, and its section. */
interface Part {
  goals: string[];
  section: string;
}

/**
 * The results page. A measurement without a stored result keeps its section of the page from before, which names its commit.
 *
 * @param before the page that this one replaces
 */
export function resultsPage(results: StoredResult[], measurements: Measurement[], before = ''): string {
  const parts = measurements.map((measurement): Part | undefined => {
    const result = results.find((one) => one.measurement === measurement.name);
    return result === undefined ? partBefore(before, measurement.name) : newPart(result, measurement);
  });
  const missing = measurements.filter((_, at) => parts[at] === undefined);
  const present = parts.filter((part) => part !== undefined);
  return [
    '# Results',
    'Written by `make bench` (`npm run bench -- --page docs`), not by hand. Values are medians, or ratios of medians ' +
      'of the same run; rows with `*` must hold. The floor is what plain libvirt needs for an equal guest: `virsh save` ' +
      "onto the state directory's filesystem and fsync, `virsh restore` from there until the guest's agent answers; no encryption.",
    [...HEAD, ...present.flatMap(({ goals }) => goals)].join('\n'),
    ...(missing.length === 0
      ? []
      : [`Not measured yet: ${missing.map(({ name, rows }) => `\`${name}\` (${rows.join('; ')})`).join(', ')}.`]),
    ...present.map(({ section }) => section),
  ]
    .join('\n\n')
    .concat('\n');
}

const newPart = (result: StoredResult, { about }: Measurement): Part => ({
  goals: result.rows.filter(({ goal }) => goal !== '').map(tableLine),
  section: section(result, about),
});

function partBefore(page: string, name: string): Part | undefined {
  const section = page
    .split(/\n(?=## )/)
    .find((text) => text.startsWith(`## ${name}\n`))
    ?.trim();
  if (section === undefined) return undefined;
  const lines = section.split('\n').filter((text) => text.startsWith('| ') && !HEAD.includes(text));
  return { goals: lines.filter((text) => text.split(' | ')[1]?.trim() !== ''), section };
}

function section(result: StoredResult, about: string): string {
  const { machine, plots = [], traces = [], notes = [] } = result;
  return [
    `## ${result.measurement}`,
    about,
    `Commit ${result.commit}, ${result.at.slice(0, 16).replace('T', ' ')} UTC; ${machine.cores} cores (${machine.cpu}), ` +
      `${machine.memoryGiB} GiB, ${machine.accelerator}, QEMU ${machine.qemu}, ${machine.libvirt}, Node ${machine.node}, Linux ${machine.kernel}.`,
    table(result.rows),
    ...notes,
    ...plots.map((plot) => `![${plot.title}](${PLOTS}/${plot.name}.svg)`),
    ...traces.flatMap((trace) => ['```\n' + traceText(trace) + '\n```']),
  ]
    .filter((paragraph) => paragraph !== '')
    .join('\n\n');
}

/** Writes `results.md` and its plots. */
export async function writePage(
  directory: string,
  results: StoredResult[],
  measurements: Measurement[],
): Promise<void> {
  await mkdir(path.join(directory, PLOTS), { recursive: true });
  const page = path.join(directory, 'results.md');
  const before = await readFile(page, 'utf8').catch(() => '');
  await writeFile(page, resultsPage(results, measurements, before));
  for (const plot of results.flatMap(({ plots = [] }) => plots)) {
    await writeFile(path.join(directory, PLOTS, `${plot.name}.svg`), svg(plot));
  }
}
