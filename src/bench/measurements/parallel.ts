import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchService } from '../bench-service.js';
import { FloorGroup } from '../floor-group.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import type { Sandbox, Timed } from '../service-client.js';
import { medianIndex, ratio, row, type Row } from '../statistics.js';

const AT_ONCE = 8;
const VERBS = ['create', 'pause', 'connect'] as const;
type Verb = (typeof VERBS)[number];

/** What was just started, or made ahead for the next, is let come to rest. */
const SETTLE_MS = 3_000;
const OVERLAYS_WITHIN_MS = 120_000;
const GOAL = { goal: '>= 0.9 x virsh', limit: 0.9 };

const nameOf = (verb: string): string => `parallel, ${AT_ONCE} ${verb}s at once`;

export const parallel: Measurement = {
  name: 'parallel',
  about:
    `${AT_ONCE} creates at once, then ${AT_ONCE} pauses, then ${AT_ONCE} connects, each until the last one is answered; in turn with ` +
    `${AT_ONCE} equal guests on plain libvirt: \`virsh restore\` of all until the last one's agent answers (creates and connects are ` +
    'held against that), `virsh save` of all until the last one is synced. Throughput as a multiple of that of plain ' +
    `libvirt. ${AT_ONCE} encrypted disks are made ahead of time (\`DORMOUSE_OVERLAY_POOL=${AT_ONCE}\`), outside of what is timed, on either side.`,
  rows: VERBS.map(nameOf),
  run,
};

/** Calls that were made at once. */
interface Batch {
  /** Until the last of them was answered. */
  seconds: number;
  slowest: Timed;
}

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService({ env: { DORMOUSE_OVERLAY_POOL: String(AT_ONCE) } });
  const floor = await FloorGroup.startSaved(context, service, AT_ONCE);
  const ours: Record<Verb, Batch[]> = { create: [], pause: [], connect: [] };
  const plain = { save: [] as number[], restore: [] as number[] };
  for (let number = 1; number <= context.runs; number++) {
    context.say(`${AT_ONCE} at once, run ${number} of ${context.runs}`);
    await overlaysAreThere(service);
    await once(service, ours);
    await delay(SETTLE_MS);
    plain.restore.push(await floor.restore());
    await delay(SETTLE_MS);
    plain.save.push(await floor.save());
  }
  const seconds = (verb: Verb): number[] => ours[verb].map((batch) => batch.seconds);
  return {
    rows: [
      throughput(nameOf('create'), seconds('create'), plain.restore),
      throughput(nameOf('pause'), seconds('pause'), plain.save),
      throughput(nameOf('connect'), seconds('connect'), plain.restore),
      ...VERBS.map((verb) => row(`${AT_ONCE} ${verb}s`, undefined, 's', seconds(verb))),
      row(`${AT_ONCE} plain saves and fsyncs`, undefined, 's', plain.save),
      row(`${AT_ONCE} plain restores until the agents answer`, undefined, 's', plain.restore),
    ],
    traces: await Promise.all(
      VERBS.map((verb) =>
        service.trace(`the slowest of ${AT_ONCE} ${verb}s at once`, ours[verb][medianIndex(seconds(verb))]!.slowest),
      ),
    ),
  };
}

async function once(service: BenchService, batches: Record<Verb, Batch[]>): Promise<void> {
  const { client } = service;
  const sandboxes: Sandbox[] = [];
  const batch = async (calls: Promise<Timed>[]): Promise<Batch> => {
    const start = performance.now();
    const timed = await Promise.all(calls);
    const slowest = timed.reduce((a, b) => (a.seconds > b.seconds ? a : b));
    return { seconds: (performance.now() - start) / 1000, slowest };
  };
  const create = async (): Promise<Timed> => {
    const { sandbox, ...timed } = await client.create();
    sandboxes.push(sandbox);
    return timed;
  };
  batches.create.push(await batch(Array.from({ length: AT_ONCE }, create)));
  await overlaysAreThere(service);
  await delay(SETTLE_MS);
  batches.pause.push(await batch(sandboxes.map(client.pause)));
  batches.connect.push(await batch(sandboxes.map(client.connect)));
  await batch(sandboxes.map(client.kill));
}

/** More is done in the same time: the inverse of the ratio of times. */
const throughput = (name: string, ours: number[], plain: number[]): Row => ({
  ...ratio(name, GOAL, plain, ours),
  better: 'higher',
  figure: ratio(name, GOAL, ours, plain).figure ?? '',
});

async function overlaysAreThere({ paths }: BenchService): Promise<void> {
  const end = Date.now() + OVERLAYS_WITHIN_MS;
  for (;;) {
    const made = (await readdir(paths.overlayPool)).filter((name) => !/^(draft|claimed)-/.test(name));
    if (made.length >= AT_ONCE) return;
    if (Date.now() > end) throw new Error(`only ${made.length} of ${AT_ONCE} disks were made ahead of time`);
    await delay(200);
  }
}
