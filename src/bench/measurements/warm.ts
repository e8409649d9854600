import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchService } from '../bench-service.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { ratio, row } from '../statistics.js';
import { TimedCalls } from '../timed-calls.js';

const READY_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 200;
/** After a machine has become ready, so that what made it is done. */
const SETTLE_MS = 2_000;

const NAME = 'create from a warm pool';

export const warm: Measurement = {
  name: 'warm',
  about:
    'Two services side by side, the one with a warm pool of one machine, the other without. Once the machine is ready, a ' +
    'sandbox is created at the one and killed; then, once its successor is ready, one at the other.',
  rows: [NAME],
  run,
};

async function run(context: Context): Promise<Outcome> {
  const pooled = await context.startService({ env: { DORMOUSE_WARM_POOL: '1' } });
  const plain = await context.startService();
  const [taken, made] = [new TimedCalls(), new TimedCalls()];
  for (let number = 1; number <= context.runs; number++) {
    context.say(`warm, run ${number} of ${context.runs}`);
    for (const [{ client }, calls] of [
      [pooled, taken],
      [plain, made],
    ] as const) {
      await untilReady(pooled);
      const { sandbox, ...call } = await client.create();
      calls.add(call);
      await client.kill(sandbox);
    }
  }
  return {
    rows: [
      ratio(NAME, { goal: '<= 0.3 x create', limit: 0.3 }, taken.seconds, made.seconds),
      row('create from a warm pool, seconds', undefined, 's', taken.seconds),
      row('create without one, seconds', undefined, 's', made.seconds),
    ],
    traces: [await taken.medianTrace(pooled, 'create from a warm pool')],
  };
}

/** @throws Error when no machine of the pool runs in time. */
async function untilReady({ paths }: BenchService): Promise<void> {
  const end = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const ids = await readdir(paths.sandboxes).catch(() => []);
    const manifests = await Promise.all(ids.map((id) => manifestOf(paths.sandbox(id).manifest)));
    if (manifests.some(({ phase, view }) => phase?.name === 'running' && view?.spec?.warm === true)) break;
    if (Date.now() > end) throw new Error(`the warm pool has no machine after ${READY_WITHIN_MS / 1000} s`);
    await delay(LOOK_EVERY_MS);
  }
  await delay(SETTLE_MS);
}

interface Manifest {
  phase?: { name: string };
  view?: { spec?: { warm?: boolean } };
}

/** Of a sandbox that may be gone, or only just begun. */
const manifestOf = (file: string): Promise<Manifest> =>
  readFile(file, 'utf8').then(
    (text) => JSON.parse(text) as Manifest,
    () => ({}),
  );
