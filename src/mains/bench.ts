import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { Closers, newContext } from '../bench/context.js';
import { keepLogsOf } from '../bench/keep-logs.js';
import { currentCommit, machineFacts } from '../bench/machine-facts.js';
import type { Measurement } from '../bench/measurement.js';
import { table, writePage } from '../bench/page.js';
import { MEASUREMENTS } from '../bench/registry.js';
import { holds, shown, type Row } from '../bench/statistics.js';
import { newestResults, storeResult, type StoredResult } from '../bench/stored-result.js';
import { traceText } from '../bench/trace-text.js';
import { readConfig } from '../config.js';
import { chooseAccelerator } from '../setup/accelerator.js';
import { listTemplates } from '../template/template.js';

interface Options {
  only?: string;
  runs: string;
  scale: string;
  results: string;
  json?: string;
  page?: string;
  port: string;
  report?: true;
  traces?: true;
}

/** `make bench`: measures on services of its own; table, JSON and page are made from the newest result of each measurement. */
async function main(closers: Closers): Promise<number> {
  const options = new Command()
    .option(
      '--only <names>',
      `measure these only, with commas between: ${MEASUREMENTS.map(({ name }) => name).join(', ')}`,
    )
    .option('--runs <n>', 'runs of each', '10')
    .option('--scale <n>', 'sandboxes in the measurement of scale', '10000')
    .option('--results <directory>', 'where results are kept', '.bench')
    .option('--json <file>', 'also write the rows as JSON')
    .option('--page <directory>', 'also write results.md and its plots there')
    .option('--port <n>', 'first of the ports of its services', '18000')
    .option('--report', 'measure nothing: what was measured before')
    .option('--traces', 'also print the traces of the median runs')
    .parse()
    .opts<Options>();
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const chosen = choose(options.only?.split(','));
  const [measured, failed] = options.report === true ? [[], []] : await measure(chosen, options, closers, say);
  const results = await newestResults(
    options.results,
    // What an earlier run found is not what this one did.
    chosen.map(({ name }) => name).filter((name) => !failed.includes(name)),
  );
  const rows = results.flatMap((result) => result.rows);
  process.stdout.write(`${table(rows)}\n`);
  if (options.traces === true) {
    for (const trace of results.flatMap(({ traces = [] }) => traces)) process.stdout.write(`\n${traceText(trace)}\n`);
  }
  if (options.json !== undefined) await writeFile(options.json, JSON.stringify(rows.map(published), null, 2));
  if (options.page !== undefined) {
    const all = await newestResults(
      options.results,
      MEASUREMENTS.map(({ name }) => name),
    );
    await writePage(options.page, all, MEASUREMENTS);
  }
  const missed = (options.report === true ? results : measured)
    .flatMap((result) => result.rows)
    .filter((row) => row.must === true && holds(row) === false);
  for (const row of missed) say(`MISSED: ${row.name}: ${shown(row.value)} ${row.unit}, must be ${row.goal}`);
  for (const name of failed) say(`FAILED: ${name}; why stands above`);
  return missed.length + failed.length === 0 ? 0 : 1;
}

/** One after the other; a failure of one does not keep the others from being measured. */
async function measure(
  chosen: Measurement[],
  { runs, scale, results: directory, port }: Options,
  closers: Closers,
  say: (line: string) => void,
): Promise<[results: StoredResult[], failed: string[]]> {
  const commit = await currentCommit();
  const config = readConfig(process.env);
  const newestKernel = async (): Promise<string | undefined> => (await listTemplates(config.templateDir))[0]?.kernel;
  const results: StoredResult[] = [];
  const failed: string[] = [];
  for (const measurement of chosen) {
    say(`== ${measurement.name}`);
    const numbers = { port: Number(port), runs: Number(runs), scale: Number(scale) };
    const context = newContext({ env: process.env, ...numbers, say, closers });
    try {
      const outcome = await measurement.run(context);
      // Afterwards: the first one has built the template whose kernel KVM is tried with.
      const machine = await machineFacts(await chooseAccelerator(config, say, newestKernel));
      const result = { measurement: measurement.name, at: new Date().toISOString(), commit, machine, ...outcome };
      await storeResult(directory, result);
      results.push(result);
      await closers.close();
    } catch (error) {
      await closers.close().catch((also: unknown) => say(`what it started could not be ended: ${String(also)}`));
      failed.push(measurement.name);
      say(`${measurement.name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      say(`logs of its services: ${await keepLogsOf(config.home, measurement.name)}`);
    }
  }
  return [results, failed];
}

function choose(names: string[] | undefined): Measurement[] {
  const unknown = names?.find((name) => !MEASUREMENTS.some((measurement) => measurement.name === name));
  if (unknown !== undefined) throw new Error(`there is no measurement "${unknown}"; --help lists them`);
  return MEASUREMENTS.filter(({ name }) => names?.includes(name) ?? true);
}

const published = ({ name, goal, value, unit, better, runs, spread }: Row): object => ({
  ...{ name, goal, value, unit, better, runs, spread },
});

const closers = new Closers();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    process.stderr.write('bench: ending what was started\n');
    void closers.close().finally(() => process.exit(130));
  });
}
main(closers).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
