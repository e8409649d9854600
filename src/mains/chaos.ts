import { Command } from 'commander';
import { execa } from 'execa';
import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { CaseOutcome } from '../chaos/case-outcome.js';
import { chaosEnvironment } from '../chaos/environment.js';
import { Fleet } from '../chaos/fleet.js';
import { faultName, keyOfCase, matrix } from '../chaos/plan.js';
import { appendResult, readResults, resultsTable, type Result } from '../chaos/results.js';
import { Rig } from '../chaos/rig.js';
import { runCase } from '../chaos/run-case.js';
import { readConfig } from '../config.js';

/**
 * `make chaos`: the crash matrix in the order of a seed, on a service of its own; goes on where an earlier run of the
 * same commit and seed stopped. Ends at the first violation. Restarts libvirtd: not beside a service that matters.
 */
async function main(): Promise<number> {
  const options = new Command()
    .option('--seed <n>', 'order and moments of the faults', '1')
    .option('--minutes <n>', 'begin no step after this time', '60')
    .option('--from <n>', 'begin at this place in the order of the seed', '0')
    .option('--port <n>', 'first of the ports of its service', '17000')
    .option('--only <regexp>', 'only cases "step × fault" that match', '')
    .option('--results <directory>', 'results by commit, one JSON line per step', '.chaos')
    .option('--table', 'print the table of all results, and run nothing')
    .parse()
    .opts<{
      seed: string;
      minutes: string;
      port: string;
      from: string;
      only: string;
      results: string;
      table?: boolean;
    }>();
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (options.table === true) {
    say(resultsTable(await readResults(options.results)));
    return 0;
  }
  const end = Date.now() + Number(options.minutes) * 60_000;
  const seed = Number(options.seed);
  const commit = await currentCommit();
  const done = new Set(
    (await readResults(options.results, commit)).filter((one) => one.seed === seed).map((one) => one.number),
  );
  const wanted = new RegExp(options.only);
  const todo = [...matrix(seed).entries()].filter(
    ([number, chaos]) => number >= Number(options.from) && !done.has(number) && wanted.test(keyOfCase(chaos)),
  );
  say(`commit ${commit}, seed ${seed}: ${todo.length} cases to go`);
  const env = chaosEnvironment(process.env, { home: readConfig(process.env).home, port: Number(options.port) });
  const rig = await Rig.start(readConfig(env), env, say);
  const results: Result[] = [];
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      say('stopping once the present case is over; a second signal leaves its machines behind until the next run');
      asked = true;
    });
  }
  try {
    const fleet = new Fleet(rig);
    await fleet.muster();
    for (const [number, chaos] of todo) {
      if (asked || Date.now() > end) break;
      const start = Date.now();
      const outcome = await runCase(rig, fleet, chaos, { wakeToProve: true }).catch((error: unknown): CaseOutcome => ({
        ...{ injected: true, answer: '', outcome: 'unsettled' },
        violation: error instanceof Error ? error.message : String(error),
      }));
      const result: Result = {
        ...{ at: new Date(start).toISOString(), commit, seed, number, step: chaos.step, fault: faultName(chaos.fault) },
        ...{ seconds: (Date.now() - start) / 1000, ...outcome },
      };
      await appendResult(options.results, result);
      results.push(result);
      say(
        `${number}: ${keyOfCase(chaos)}: ${result.injected ? '' : '(did not take place) '}answered ${result.answer}, ${result.outcome}, ${result.seconds.toFixed(1)} s`,
      );
      if (result.violation === undefined) continue;
      say(
        `\nVIOLATION: ${result.violation}\nrepeat it with --seed ${seed} --only '^${escaped(keyOfCase(chaos))}$'; its logs are kept in ${options.results}`,
      );
      return 1;
    }
    const bystanders = await fleet.proveBystanders(true);
    if (bystanders !== undefined) {
      say(`\nVIOLATION: ${bystanders} (seed ${seed})`);
      return 1;
    }
  } finally {
    await keepLogs(rig, options.results, seed).catch((error: unknown) =>
      say(`logs could not be kept: ${String(error)}`),
    );
    await rig.end();
  }
  say(`\n${resultsTable(results)}`);
  return 0;
}

/** The commit that the results are about; one with changes that are in no commit is another. */
async function currentCommit(): Promise<string> {
  const { stdout } = await execa('git', ['describe', '--always', '--dirty', '--abbrev=10', '--exclude=*']);
  return stdout.trim();
}

/** Of the last run of a seed. */
async function keepLogs(rig: Rig, directory: string, seed: number): Promise<void> {
  const kept = path.join(directory, `logs-${seed}`);
  await rm(kept, { recursive: true, force: true });
  await cp(path.join(rig.config.stateDir, 'logs'), kept, { recursive: true });
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`chaos: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
