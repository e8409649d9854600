import { request, type ClientRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { mintKey } from '../../api/api-keys.js';
import { clientUrls } from '../../setup/client-settings.js';
import type { BenchService } from '../bench-service.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { runCommand } from '../run-command.js';
import { ServiceClient, type Sandbox } from '../service-client.js';
import { ratio, row, type Goal, type Row } from '../statistics.js';

const VERBS = ['create', 'command', 'pause', 'kill'] as const;
type Verb = (typeof VERBS)[number];
type Times = Record<Verb, number[]>;

const GUESTS = 2;
const CONNECTIONS = 200;
const TRICKLE_EVERY_MS = 20;
/** How long the noise runs before the first measurement: weights are set by then, and its requests are under way. */
const SETTLE_MS = 12_000;

/** What the one tenant does: begins with it, and says how to end it. */
interface Noise {
  name: string;
  goal: Goal;
  begin: (noisy: Tenant) => Promise<() => Promise<void>>;
}

interface Tenant {
  client: ServiceClient;
  service: BenchService;
}

const TWICE: Goal = { goal: '<= 2 x quiet', limit: 2 };
const NOISES: Noise[] = [
  { name: 'disk', goal: TWICE, begin: inGuests('while :; do head -c 200M /dev/urandom > /home/user/f; sync; done') },
  { name: 'connections', goal: TWICE, begin: openConnections(() => undefined) },
  { name: 'frames', goal: TWICE, begin: openConnections((open) => open.write('x')) },
  { name: 'boots', goal: TWICE, begin: boots },
  {
    name: 'CPUs',
    goal: { goal: '<= 3 x quiet', limit: 3 },
    begin: inGuests('for i in 1 2; do while :; do :; done & done; wait'),
  },
];

const nameOf = (verb: string, noise: string): string => `noisy neighbour, ${verb} beside its ${noise}`;

export const noisy: Measurement = {
  name: 'noisy',
  about:
    `One tenant does its worst, each in turn: ${GUESTS} guests that write and sync their disks without end; ${CONNECTIONS} ` +
    'connections that are held open; the same with a byte on each fifty times a second; ' +
    `${GUESTS} guests that boot from their disks; ${GUESTS} guests with two busy loops each. Another tenant creates a sandbox, runs a ` +
    'command in it, pauses one and kills one; against the same calls while the first tenant does nothing.',
  rows: NOISES.flatMap(({ name }) => VERBS.map((verb) => nameOf(verb, name))),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService({ env: { DORMOUSE_OVERLAY_POOL: '4' } });
  const tenant = async (name: string): Promise<ServiceClient> =>
    new ServiceClient({ ...clientUrls(service.config), apiKey: await mintKey(service.config.apiKeysFile, name) });
  const noisyTenant = { client: await tenant('noisy'), service };
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

async function sandboxes({ client }: Tenant, more: object = {}): Promise<Sandbox[]> {
  const made: Sandbox[] = [];
  for (let count = 0; count < GUESTS; count++) made.push((await client.create(more)).sandbox);
  return made;
}

const killAll = async (client: ServiceClient, made: readonly Sandbox[]): Promise<void> => {
  for (const sandbox of made) await client.kill(sandbox);
};

function inGuests(script: string): Noise['begin'] {
  return async (tenant) => {
    const made = await sandboxes(tenant);
    for (const sandbox of made) {
      await runCommand(tenant.client.door(sandbox), `setsid nohup bash -c '${script}' > /dev/null 2>&1 < /dev/null &`);
    }
    return () => killAll(tenant.client, made);
  };
}

/** To a port of its own guests, with requests that never end. */
function openConnections(tick: (open: ClientRequest) => void): Noise['begin'] {
  return async (tenant) => {
    const made = await sandboxes(tenant);
    const requests = Array.from({ length: CONNECTIONS }, (_, count) => {
      const { url, headers } = tenant.client.door(made[count % GUESTS]!);
      const all = { ...headers, 'transfer-encoding': 'chunked', 'content-type': 'application/octet-stream' };
      const open = request(`${url}/files?path=/home/user/${count}`, { method: 'POST', headers: all, agent: false });
      open.on('error', () => undefined).write('x');
      return open;
    });
    const ticking = setInterval(() => requests.forEach(tick), TRICKLE_EVERY_MS);
    return async () => {
      clearInterval(ticking);
      for (const open of requests) open.destroy();
      await killAll(tenant.client, made);
    };
  };
}

/** Pauses each sandbox without its memory and boots it again, until it is stopped; ignores the answers. */
async function boots(tenant: Tenant): Promise<() => Promise<void>> {
  const { client } = tenant;
  const made = await sandboxes(tenant);
  let over = false;
  const booting = made.map(async (sandbox) => {
    while (!over) {
      await client.call('POST', `/sandboxes/${sandbox.id}/pause`, { memory: false }, 204, 409).catch(() => undefined);
      if (!over) await client.connect(sandbox).catch(() => undefined);
    }
  });
  return async () => {
    over = true;
    await killAll(client, made);
    await Promise.all(booting);
  };
}
