import { readFile } from 'node:fs/promises';
import type { BenchService } from '../bench-service.js';
import { Filler } from '../filler.js';
import { imagesOf } from '../images.js';
import { LARGE_GUEST_MIB, LARGE_USE_MIB } from '../large-guest.js';
import type { Context, Measurement, Outcome, Trace } from '../measurement.js';
import { runCommand, type AgentDoor } from '../run-command.js';
import type { Sandbox } from '../service-client.js';
import { ratio, type Row } from '../statistics.js';
import { TimedCalls } from '../timed-calls.js';
import { LIGHT_USE } from '../use.js';

/** Each fills 2 GiB twice. */
const LARGE_RUNS = 5;
const GOAL = { goal: '<= 1.15 x', limit: 1.15 };
/** Random bytes that are in the guest's memory, where compression leaves them as they are. */
const MARK = { file: '/dev/shm/mark', bytes: 1024 * 1024, sample: 48, samples: 8 };

const NAMES = {
  pause: 'sealing: pause after light use, sealed against unsealed',
  connect: 'sealing: connect after light use, sealed against unsealed',
  largePause: 'sealing: pause of 2 GiB, all of it new, sealed against unsealed',
  largeConnect: 'sealing: connect of 2 GiB, sealed against unsealed',
};

export const sealing: Measurement = {
  name: 'sealing',
  about:
    'Two services side by side, whose sandboxes do the same in turn. The one is as it is. Into the processes of the other ' +
    'the bench loads a module (`src/bench/unsealed.ts`) in which AES-256-GCM hands on what it gets, with zeros as its tag, ' +
    'and nothing longer than 4 KiB is hashed; pages are still compared (digests of parts are taken on both sides) and ' +
    'compressed, images still written and synced. ' +
    'So the ratio is what encryption and authentication cost. That random bytes of the guest are found in the image of the ' +
    'one and not in that of the other is checked first. The product has no unsealed mode.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const light = await compare(context, 'light use', context.runs, undefined, {
    use: (door) => runCommand(door, LIGHT_USE),
  });
  const fillers = new Map<string, Filler>();
  const large = await compare(context, '2 GiB', Math.min(context.runs, LARGE_RUNS), LARGE_GUEST_MIB, {
    use: async (door, number, { id }) => {
      const filler = fillers.get(id) ?? (await Filler.start(door));
      fillers.set(id, filler);
      await filler.fill(LARGE_USE_MIB, number);
    },
    woken: ({ id }) => fillers.get(id)!.verify(),
  });
  return {
    rows: [...light.rows(NAMES.pause, NAMES.connect), ...large.rows(NAMES.largePause, NAMES.largeConnect)],
    traces: large.traces,
  };
}

interface Work {
  /** Before a pause. */
  use(door: AgentDoor, number: number, sandbox: Sandbox): Promise<unknown>;
  /** After the connect that follows. */
  woken?(sandbox: Sandbox): Promise<void>;
}

/** One sandbox of each service, used, paused and connected in turn. */
async function compare(
  context: Context,
  of: string,
  runs: number,
  memoryMiB: number | undefined,
  { use, woken }: Work,
): Promise<{ rows: (pause: string, connect: string) => Row[]; traces: Trace[] }> {
  const memory = memoryMiB === undefined ? {} : { memoryMiB };
  const unsealed = { NODE_OPTIONS: `--import=${new URL('../unsealed.js', import.meta.url).href}` };
  const [sealedSide, unsealedSide] = [
    await beginSide(await context.startService(memory)),
    await beginSide(await context.startService({ ...memory, env: unsealed })),
  ];
  await requireMark(sealedSide, false);
  await requireMark(unsealedSide, true);
  for (let number = 1; number <= runs; number++) {
    context.say(`sealing, ${of}, run ${number} of ${runs}`);
    for (const { service, sandbox, pause, connect } of [sealedSide, unsealedSide]) {
      await use(service.client.door(sandbox), number, sandbox);
      pause.add(await service.client.pause(sandbox));
      connect.add(await service.client.connect(sandbox));
      await woken?.(sandbox);
    }
  }
  const traces = [
    await sealedSide.connect.medianTrace(sealedSide.service, `connect, ${of}, sealed`),
    await unsealedSide.connect.medianTrace(unsealedSide.service, `connect, ${of}, unsealed`),
  ];
  for (const { service, sandbox } of [sealedSide, unsealedSide]) {
    await service.client.kill(sandbox);
    await service.stop();
  }
  const rows = (pause: string, connect: string): Row[] => [
    ratio(pause, GOAL, sealedSide.pause.seconds, unsealedSide.pause.seconds),
    ratio(connect, GOAL, sealedSide.connect.seconds, unsealedSide.connect.seconds),
  ];
  return { rows, traces };
}

interface Side {
  service: BenchService;
  sandbox: Sandbox;
  pause: TimedCalls;
  connect: TimedCalls;
}

async function beginSide(service: BenchService): Promise<Side> {
  const { sandbox } = await service.client.create();
  return { service, sandbox, pause: new TimedCalls(), connect: new TimedCalls() };
}

/** @throws Error when a random pattern of the guest's memory stands in its image and must not, or the reverse. */
async function requireMark({ service, sandbox }: Side, wanted: boolean): Promise<void> {
  const door = service.client.door(sandbox);
  const { output } = await runCommand(
    door,
    `head -c ${MARK.bytes} /dev/urandom > ${MARK.file}; ` +
      `for at in $(seq ${MARK.samples}); do tail -c +$((at * 100000)) ${MARK.file} | head -c ${MARK.sample} | base64 -w0; echo; done`,
  );
  await service.client.pause(sandbox);
  const images = await Promise.all((await imagesOf(service, sandbox)).map((file) => readFile(file)));
  const samples = output
    .trim()
    .split('\n')
    .map((line) => Buffer.from(line, 'base64'));
  const found = samples.some((sample) => images.some((image) => image.includes(sample)));
  await service.client.connect(sandbox);
  await runCommand(door, `rm ${MARK.file}`);
  if (found === wanted) return;
  throw new Error(
    `memory of the guest ${found ? 'stands' : 'does not stand'} in the clear in an image of ${service.config.stateDir}`,
  );
}
