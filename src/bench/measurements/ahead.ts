import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchService } from '../bench-service.js';
import { Filler } from '../filler.js';
import { FloorTimes } from '../floor-times.js';
import { imageBytes } from '../images.js';
import { besideFloor, LARGE_GUEST_MIB, LARGE_USE_MIB } from '../large-guest.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { runCommand } from '../run-command.js';
import type { Sandbox } from '../service-client.js';
import { mib, ratio, row } from '../statistics.js';
import { TimedCalls } from '../timed-calls.js';

/** Each waits twice for a timeout to come near. */
const MOST_RUNS = 5;
/** Twice as long before its timeout as memory is sealed: half of it has to pass quietly. */
const TIMEOUT_SECONDS = 60;
const COMES_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 20;
const COMMAND = 'echo awake';

const NAMES = {
  pause: 'pause, 2 GiB in use, all of it new, sealed ahead of it',
  connect: 'connect after it, 2 GiB in use',
};

export const ahead: Measurement = {
  name: 'ahead',
  about:
    `A sandbox with ${LARGE_GUEST_MIB} MiB in which a process holds 2 GiB, as in the measurement of 2 GiB, is left alone ` +
    `until its timeout of ${TIMEOUT_SECONDS} s is near and the host begins to seal its memory. A command comes in the middle ` +
    'of that, which gives it up; a command in a sandbox at rest is beside it. Then the sandbox is left alone again until its memory ' +
    'is sealed, and paused over REST; connected, and its memory summed up. In turn with an equal guest on plain libvirt.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { service, floor, held } = await besideFloor(context, LARGE_GUEST_MIB);
  const { client } = service;
  const [pause, connect] = [new TimedCalls(), new TimedCalls()];
  const seconds = { atRest: [] as number[], interrupting: [] as number[], sealing: [] as number[] };
  const stored: number[] = [];
  const plain = new FloorTimes(floor);
  await held.fill(LARGE_USE_MIB, 0);
  const runs = Math.min(context.runs, MOST_RUNS);
  for (let number = 1; number <= runs; number++) {
    context.say(`sealed ahead, run ${number} of ${runs}`);
    const { sandbox } = await client.create({ autoPause: true });
    const door = client.door(sandbox);
    const filler = await Filler.start(door);
    await filler.fill(LARGE_USE_MIB, number);
    seconds.atRest.push((await runCommand(door, COMMAND)).seconds);

    await nearItsTimeout(service, sandbox);
    await comes(service, sandbox, /\.tmp$/);
    await delay(500);
    seconds.interrupting.push((await runCommand(door, COMMAND)).seconds);

    await nearItsTimeout(service, sandbox);
    await comes(service, sandbox, /\.tmp$/);
    const begun = performance.now();
    await comes(service, sandbox, /^image-\d+\.sealed$/);
    seconds.sealing.push((performance.now() - begun) / 1000);
    pause.add(await client.pause(sandbox));
    stored.push(await imageBytes(service, sandbox));
    connect.add(await client.connect(sandbox));
    await filler.verify();
    await client.kill(sandbox);
    await plain.measure(false);
    await held.verify();
  }
  return {
    rows: [
      ratio(NAMES.pause, undefined, pause.seconds, plain.save),
      ratio(NAMES.connect, undefined, connect.seconds, plain.restore),
      row('sealing 2 GiB ahead, on one thread', undefined, 's', seconds.sealing),
      row('a command that interrupts it', undefined, 's', seconds.interrupting),
      row('the same in a sandbox at rest', undefined, 's', seconds.atRest),
      row('stored after that pause, 2 GiB', undefined, 'MiB', mib(stored)),
    ],
    traces: [await pause.medianTrace(service, NAMES.pause)],
  };
}

const nearItsTimeout = ({ client }: BenchService, { id }: Sandbox): Promise<unknown> =>
  client.call('POST', `/sandboxes/${id}/timeout`, { timeout: TIMEOUT_SECONDS }, 204);

/** Waits for a file of this name in the sandbox's directory. */
async function comes({ paths }: BenchService, { id }: Sandbox, name: RegExp): Promise<void> {
  const end = performance.now() + COMES_WITHIN_MS;
  const { directory } = paths.sandbox(id);
  while (!(await readdir(directory)).some((file) => file.startsWith('image-') && name.test(file))) {
    if (performance.now() > end) throw new Error(`no file ${name} in ${directory}: its memory is not sealed ahead`);
    await delay(LOOK_EVERY_MS);
  }
}
