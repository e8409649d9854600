import { FloorTimes } from '../floor-times.js';
import { imageBytes } from '../images.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { memoryInUse } from '../memory-in-use.js';
import { runsPlot } from '../plot.js';
import { runCommand } from '../run-command.js';
import { mib, ratio, row } from '../statistics.js';
import { TimedCalls } from '../timed-calls.js';
import { LIGHT_USE } from '../use.js';

const NAMES = {
  pause: 'pause, base template after light use',
  connect: 'connect to a paused sandbox, base template',
  first: "connect, first command's output, base template",
  create: 'create',
  stored: 'stored bytes per memory in use, base template after light use',
};

export const lightUse: Measurement = {
  name: 'light-use',
  about:
    'A sandbox of the base template is created, used a little (Python with three modules, 20 MB of random bytes into a ' +
    'file, Node), paused, connected, asked for `echo hello`, and killed; in turn with an equal guest on plain libvirt ' +
    'that was used in the same way. Memory in use is what the guest itself says: all that is not free, programs and ' +
    'files that are kept in memory alike; the last row counts programs alone.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService();
  const floor = await context.startFloor(service);
  const { client } = service;
  const [create, pause, connect, kill] = [new TimedCalls(), new TimedCalls(), new TimedCalls(), new TimedCalls()];
  const first: number[] = [];
  const bytes = { stored: [] as number[], all: [] as number[], programs: [] as number[] };
  const plain = new FloorTimes(floor);
  await runCommand(floor.door, LIGHT_USE);
  for (let number = 1; number <= context.runs; number++) {
    context.say(`light use, run ${number} of ${context.runs}`);
    const { sandbox, ...created } = await client.create();
    const door = client.door(sandbox);
    create.add(created);
    await runCommand(door, LIGHT_USE);
    const { all, programs } = await memoryInUse(door);
    pause.add(await client.pause(sandbox));
    bytes.stored.push(await imageBytes(service, sandbox));
    bytes.all.push(all);
    bytes.programs.push(programs);
    const connected = await client.connect(sandbox);
    connect.add(connected);
    first.push(connected.seconds + (await runCommand(door, 'echo hello')).seconds);
    kill.add(await client.kill(sandbox));
    await plain.measure();
  }
  return {
    rows: [
      ratio(NAMES.pause, { goal: '<= 1.0 x floor', limit: 1, must: true }, pause.seconds, plain.save),
      ratio(NAMES.connect, { goal: '<= 1.0 x floor', limit: 1, must: true }, connect.seconds, plain.restore),
      row(NAMES.first, { goal: '<= 1 s', limit: 1 }, 's', first),
      ratio(NAMES.create, { goal: '<= 1.2 x connect', limit: 1.2, must: true }, create.seconds, connect.seconds),
      ratio(NAMES.stored, { goal: '<= 0.3 x', limit: 0.3 }, mib(bytes.stored), mib(bytes.all), 'MiB'),
      row('pause, light use', undefined, 's', pause.seconds),
      row('connect, light use', undefined, 's', connect.seconds),
      row('create, base template', undefined, 's', create.seconds),
      row('kill', undefined, 's', kill.seconds),
      ...plain.rows('light use'),
      ratio('stored bytes per memory of programs, light use', undefined, mib(bytes.stored), mib(bytes.programs), 'MiB'),
    ],
    plots: [
      runsPlot('light-use', 'Base template after light use, every run', {
        ...{ pause: pause.seconds, 'plain save and fsync': plain.save, connect: connect.seconds },
        ...{ 'plain restore': plain.restore, create: create.seconds, "connect, first command's output": first },
      }),
    ],
    traces: [
      await create.medianTrace(service, 'create'),
      await pause.medianTrace(service, 'pause after light use'),
      await connect.medianTrace(service, 'connect'),
    ],
  };
}
