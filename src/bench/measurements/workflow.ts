import type { Context, Measurement, Outcome } from '../measurement.js';
import type { Timed } from '../service-client.js';
import { medianIndex, row } from '../statistics.js';

const VERBS = ['create', 'pause', 'connect', 'kill'] as const;
/** So many rounds for each run that was asked for: they take a fraction of a second each. */
const ROUNDS_PER_RUN = 5;
/** Compiles what the first calls compile. */
const WARM_UP_ROUNDS = 5;
const GOAL = { goal: '<= 60 ms', limit: 60 };

const nameOf = (verb: string): string => `workflow overhead, ${verb}`;

export const workflow: Measurement = {
  name: 'workflow',
  about:
    'What a lifecycle call costs without the machine: the whole service as processes, with real Temporal, durable ' +
    'manifests and keys, and a real (tiny) sealed image, over a machine driver that does nothing and a `virsh` that does ' +
    'nothing. One call after the other; from the request to the whole answer.',
  rows: VERBS.map(nameOf),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startMachineless();
  const { client } = service;
  const times = { create: [] as Timed[], pause: [] as Timed[], connect: [] as Timed[], kill: [] as Timed[] };
  const round = async (): Promise<void> => {
    const { sandbox, ...create } = await client.create();
    times.create.push(create);
    for (const verb of ['pause', 'connect', 'kill'] as const) times[verb].push(await client[verb](sandbox));
  };
  for (let number = 1; number <= WARM_UP_ROUNDS; number++) await round();
  for (const verb of VERBS) times[verb] = [];
  context.say(`${ROUNDS_PER_RUN * context.runs} rounds of ${VERBS.join(', ')}`);
  for (let number = 1; number <= ROUNDS_PER_RUN * context.runs; number++) await round();
  const seconds = (verb: (typeof VERBS)[number]): number[] => times[verb].map((timed) => timed.seconds);
  return {
    rows: VERBS.map((verb) =>
      row(
        nameOf(verb),
        GOAL,
        'ms',
        seconds(verb).map((one) => one * 1000),
      ),
    ),
    traces: await Promise.all(
      VERBS.map((verb) => service.trace(`${verb}, no machine`, times[verb][medianIndex(seconds(verb))]!)),
    ),
  };
}
