import { fillWithPaused } from '../machineless/fill.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { row } from '../statistics.js';

const SANDBOXES = 1_000;
const CALLS_PER_RUN = 5;
const WARM_UP_CALLS = 10;
const GOAL = { goal: '<= 50 ms', limit: 50 };

const CALLS = {
  [`list, ${SANDBOXES} sandboxes, page of 100`]: '',
  [`list, ${SANDBOXES} sandboxes, page of 100, with a status filter`]: '&state=paused',
  [`list, ${SANDBOXES} sandboxes, page of 100, with a metadata filter`]: '&metadata=kind%3D0',
};

export const list: Measurement = {
  name: 'list',
  about:
    `${SANDBOXES} paused sandboxes on one host (machines that are not there), one in ten with the metadata that is asked ` +
    'for. `GET /v2/sandboxes?limit=100`, one call after the other, from the request to the whole answer.',
  rows: Object.keys(CALLS),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { client } = await context.startMachineless({ DORMOUSE_TRACE_FILE: '' });
  context.say(`making ${SANDBOXES} paused sandboxes`);
  await fillWithPaused(client, SANDBOXES);
  const times = new Map(Object.keys(CALLS).map((name): [string, number[]] => [name, []]));
  for (let number = 0; number < WARM_UP_CALLS + CALLS_PER_RUN * context.runs; number++) {
    for (const [name, filter] of Object.entries(CALLS)) {
      const { seconds, value } = await client.call('GET', `/v2/sandboxes?limit=100${filter}`, undefined, 200);
      const { length } = value as unknown[];
      if (length !== 100) throw new Error(`${name}: the page has ${length} sandboxes, not 100`);
      if (number >= WARM_UP_CALLS) times.get(name)!.push(seconds * 1000);
    }
  }
  return { rows: [...times].map(([name, values]) => row(name, GOAL, 'ms', values)) };
}
