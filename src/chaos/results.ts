import { appendFile, mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';

const shape = z.object({
  at: z.string(),
  commit: z.string(),
  seed: z.number(),
  /** Place in the seed's order. */
  number: z.number(),
  step: z.string(),
  fault: z.string(),
  /** Whether the fault took place: a point may not have been reached, a process may have ended before. */
  injected: z.boolean(),
  answer: z.string(),
  outcome: z.string(),
  seconds: z.number(),
  violation: z.string().optional(),
});

/** One line of the results: one step under one fault. */
export type Result = z.infer<typeof shape>;

const fileOf = (directory: string, commit: string): string => path.join(directory, `${commit}.jsonl`);

export async function appendResult(directory: string, result: Result): Promise<void> {
  await mkdir(directory, { recursive: true });
  await appendFile(fileOf(directory, result.commit), `${JSON.stringify(result)}\n`);
}

/** Of one commit, or of all. */
export async function readResults(directory: string, commit?: string): Promise<Result[]> {
  const names = await readdir(directory).catch(() => []);
  const wanted = names.filter(
    (name) => name.endsWith('.jsonl') && (commit === undefined || name === `${commit}.jsonl`),
  );
  const texts = await Promise.all(wanted.map((name) => readFile(path.join(directory, name), 'utf8')));
  return texts.flatMap((text) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => shape.parse(JSON.parse(line))),
  );
}

/** Step × fault × times × outcomes, as Markdown; pure. */
export function resultsTable(results: Result[]): string {
  const rows = new Map<string, Result[]>();
  for (const result of results) {
    const key = `${result.step} | ${result.fault}`;
    rows.set(key, [...(rows.get(key) ?? []), result]);
  }
  const lines = [...rows]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([key, all]) => {
      const outcomes = new Map<string, number>();
      for (const { outcome, violation } of all) {
        const name = violation === undefined ? outcome : `VIOLATION (${outcome})`;
        outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
      }
      const said = [...outcomes].map(([name, times]) => (times === 1 ? name : `${name} (${times})`)).join(', ');
      return `| ${key} | ${all.length} | ${all.filter(({ injected }) => injected).length} | ${said} |`;
    });
  const injected = results.filter((result) => result.injected).length;
  const violations = results.filter(({ violation }) => violation !== undefined).length;
  return [
    `${results.length} runs, ${injected} faults took place, ${violations} violations.`,
    '',
    '| step | fault | runs | took place | where it ended |',
    '|---|---|---|---|---|',
    ...lines,
  ].join('\n');
}
