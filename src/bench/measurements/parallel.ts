import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchService } from '../bench-service.js';
import { FloorGroup, secondsOf } from '../floor-group.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import type { Sandbox } from '../service-client.js';
import { ratio, row, type Row } from '../statistics.js';

const AT_ONCE = 8;
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
    `libvirt. ${AT_ONCE} encrypted disks are made ahead of time (\`DORMOUSE_OVERLAY_POOL=${AT_ONCE}\`), outside of what is timed.`,
  rows: ['create', 'pause', 'connect'].map(nameOf),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService({ env: { DORMOUSE_OVERLAY_POOL: String(AT_ONCE) } });
  const floor = await FloorGroup.startSaved(context, service, AT_ONCE);
  const ours = { create: [] as number[], pause: [] as number[], connect: [] as number[] };
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
  return {
    rows: [
      throughput(nameOf('create'), ours.create, plain.restore),
      throughput(nameOf('pause'), ours.pause, plain.save),
      throughput(nameOf('connect'), ours.connect, plain.restore),
      row(`${AT_ONCE} creates`, undefined, 's', ours.create),
      row(`${AT_ONCE} pauses`, undefined, 's', ours.pause),
      row(`${AT_ONCE} connects`, undefined, 's', ours.connect),
      row(`${AT_ONCE} plain saves and fsyncs`, undefined, 's', plain.save),
      row(`${AT_ONCE} plain restores until the agents answer`, undefined, 's', plain.restore),
    ],
  };
}

async function once({ client }: BenchService, times: Record<'create' | 'pause' | 'connect', number[]>): Promise<void> {
  const sandboxes: Sandbox[] = [];
  const all = (call: (sandbox: Sandbox) => Promise<unknown>): Promise<number> =>
    secondsOf(Promise.all(sandboxes.map(call)));
  const creating = Array.from({ length: AT_ONCE }, async () => {
    sandboxes.push((await client.create()).sandbox);
  });
  times.create.push(await secondsOf(Promise.all(creating)));
  await delay(SETTLE_MS);
  times.pause.push(await all(client.pause));
  times.connect.push(await all(client.connect));
  await all(client.kill);
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
