import { setTimeout as delay } from 'node:timers/promises';
import { mintKey } from '../../api/api-keys.js';
import { clientUrls } from '../../setup/client-settings.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { boots, CONNECTIONS, connections, frames, GUESTS, inGuests, STREAMS, type Noise } from '../noises.js';
import { runCommand } from '../run-command.js';
import { ServiceClient } from '../service-client.js';
import { ratio, row, type Goal, type Row } from '../statistics.js';

const VERBS = ['create', 'command', 'pause', 'kill'] as const;
type Verb = (typeof VERBS)[number];
type Times = Record<Verb, number[]>;

/** How long the noise runs before the first measurement: weights are set by then, and its requests are under way. */
const SETTLE_MS = 12_000;

const TWICE: Goal = { goal: '<= 2 x quiet', limit: 2, must: true };
const NOISES: { name: string; goal: Goal; begin: Noise }[] = [
  { name: 'disk', goal: TWICE, begin: inGuests('while :; do head -c 200M /dev/urandom > /home/user/f; sync; done') },
  { name: 'connections', goal: TWICE, begin: connections },
  { name: 'frames', goal: TWICE, begin: frames },
  { name: 'boots', goal: TWICE, begin: boots },
  {
    name: 'CPUs',
    goal: { goal: '<= 3 x quiet', limit: 3, must: true },
    begin: inGuests('for i in 1 2; do while :; do :; done & done; wait'),
  },
];

const nameOf = (verb: string, noise: string): string => `noisy neighbour, ${verb} beside its ${noise}`;

export const noisy: Measurement = {
  name: 'noisy',
  about:
    `One tenant does its worst, each in turn: ${GUESTS} guests that write and sync their disks without end; ${CONNECTIONS} ` +
    `connections that are held open; ${STREAMS} commands, each with a byte of output fifty times a second that is read; ` +
    `${GUESTS} guests that boot from their disks; ${GUESTS} guests with two busy loops each. Another tenant creates a sandbox, runs a ` +
    'command in it, pauses one and kills one; against the same calls while the first tenant does nothing.',
  rows: NOISES.flatMap(({ name }) => VERBS.map((verb) => nameOf(verb, name))),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService({ env: { DORMOUSE_OVERLAY_POOL: '4' } });
  const tenant = async (name: string): Promise<ServiceClient> =>
    new ServiceClient({ ...clientUrls(service.config), apiKey: await mintKey(service.config.apiKeysFile, name) });
  const noisyTenant = await tenant('noisy');
  const client = await tenant('quiet');
  await delay(SETTLE_MS);
  const rows: Row[] = [];
  const quiet = noTimes();
  for (const { name, goal, begin } of NOISES) {
    context.say(`noisy: ${name}`);
    const beside = noTimes();
    for (let number = 0; number < context.runs; number++) await live(client, quiet);
    const end = await begin(noisyTenant);
    try {
      await delay(SETTLE_MS);
      for (let number = 0; number < context.runs; number++) await live(client, beside);
    } finally {
      await end();
    }
    await delay(SETTLE_MS);
    rows.push(...VERBS.map((verb) => ratio(nameOf(verb, name), goal, beside[verb], quiet[verb].slice(-context.runs))));
  }
  return { rows: [...rows, ...VERBS.map((verb) => row(`${verb} beside a quiet tenant`, undefined, 's', quiet[verb]))] };
}

const noTimes = (): Times => ({ create: [], command: [], pause: [], kill: [] });

async function live(client: ServiceClient, times: Times): Promise<void> {
  const { sandbox, seconds } = await client.create();
  times.create.push(seconds);
  times.command.push((await runCommand(client.door(sandbox), 'echo here')).seconds);
  times.pause.push((await client.pause(sandbox)).seconds);
  await client.connect(sandbox);
  times.kill.push((await client.kill(sandbox)).seconds);
}
