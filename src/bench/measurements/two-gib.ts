import { Filler } from '../filler.js';
import { FloorTimes } from '../floor-times.js';
import { imageBytes } from '../images.js';
import { besideFloor, LARGE_GUEST_MIB, LARGE_USE_MIB } from '../large-guest.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { memoryInUse } from '../memory-in-use.js';
import { runsPlot } from '../plot.js';
import { mib, ratio, row } from '../statistics.js';
import { TimedCalls } from '../timed-calls.js';

const CHANGED_MIB = 50;
/** What is only shown beside the rest takes half a minute each time. */
const TMPFS_RUNS = 3;

const NAMES = {
  pause: 'pause, 2 GiB in use, all of it new',
  again: 'pause again, 2 GiB in use, 50 MiB changed since the last pause',
  connect: 'connect, 2 GiB in use',
  stored: 'stored bytes per memory in use, 2 GiB in use',
};

export const twoGib: Measurement = {
  name: 'two-gib',
  about:
    `A sandbox with ${LARGE_GUEST_MIB} MiB in which a process holds 2 GiB, half of it random bytes and half text, all from ` +
    'a seed that is new in each run: paused, connected, 50 MiB of it rewritten in runs of 64 KiB all over, paused again, ' +
    'connected again. After each connect the process sums up all 2 GiB, outside of what is timed; a wrong sum ends the ' +
    'bench. In turn with an equal guest on plain libvirt whose process holds the same; the floor of every pause here is ' +
    `its whole save. Onto tmpfs it is saved in the first ${TMPFS_RUNS} runs.`,
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { service, floor, held } = await besideFloor(context, LARGE_GUEST_MIB);
  const { client } = service;
  const [pause, again, connect, connectAgain] = Array.from({ length: 4 }, () => new TimedCalls()) as Calls;
  const bytes = { stored: [] as number[], storedAgain: [] as number[], all: [] as number[] };
  const plain = new FloorTimes(floor);
  await held.fill(LARGE_USE_MIB, 0);
  for (let number = 1; number <= context.runs; number++) {
    context.say(`2 GiB in use, run ${number} of ${context.runs}`);
    const { sandbox } = await client.create();
    const filler = await Filler.start(client.door(sandbox));
    await filler.fill(LARGE_USE_MIB, number);
    bytes.all.push((await memoryInUse(client.door(sandbox))).all);
    pause.add(await client.pause(sandbox));
    bytes.stored.push(await imageBytes(service, sandbox));
    connect.add(await client.connect(sandbox));
    await filler.verify();
    await filler.change(CHANGED_MIB, number);
    again.add(await client.pause(sandbox));
    bytes.storedAgain.push(await imageBytes(service, sandbox));
    connectAgain.add(await client.connect(sandbox));
    await filler.verify();
    await client.kill(sandbox);
    await plain.measure(number <= TMPFS_RUNS);
    await held.verify();
  }
  return {
    rows: [
      ratio(NAMES.pause, { goal: '<= 1.0 x floor', limit: 1 }, pause.seconds, plain.save),
      ratio(NAMES.again, { goal: '<= 0.25 x floor', limit: 0.25, must: true }, again.seconds, plain.save),
      ratio(NAMES.connect, { goal: '<= 1.0 x floor', limit: 1 }, connect.seconds, plain.restore),
      ratio(NAMES.stored, { goal: '<= 0.7 x', limit: 0.7 }, mib(bytes.stored), mib(bytes.all), 'MiB'),
      row('pause, 2 GiB', undefined, 's', pause.seconds),
      row('pause again, 2 GiB', undefined, 's', again.seconds),
      row('connect, 2 GiB', undefined, 's', connect.seconds),
      row('connect after the second pause, 2 GiB', undefined, 's', connectAgain.seconds),
      row('stored after the second pause, 2 GiB', undefined, 'MiB', mib(bytes.storedAgain)),
      ...plain.rows('2 GiB'),
    ],
    plots: [
      runsPlot('two-gib', '2 GiB in use, every run', {
        ...{ pause: pause.seconds, 'pause again': again.seconds, 'plain save and fsync': plain.save },
        ...{ connect: connect.seconds, 'connect again': connectAgain.seconds, 'plain restore': plain.restore },
      }),
    ],
    traces: [
      await pause.medianTrace(service, 'pause, 2 GiB, all of it new'),
      await again.medianTrace(service, 'pause again, 50 MiB of 2 GiB changed'),
      await connect.medianTrace(service, 'connect, 2 GiB'),
      await connectAgain.medianTrace(service, 'connect after the second pause, 2 GiB'),
    ],
  };
}

type Calls = [TimedCalls, TimedCalls, TimedCalls, TimedCalls];
