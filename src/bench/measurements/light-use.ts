import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Context, Measurement, Outcome, Trace } from '../measurement.js';
import { memoryInUse } from '../memory-in-use.js';
import { runCommand } from '../run-command.js';
import { medianIndex, ratio, row } from '../statistics.js';
import type { Timed } from '../service-client.js';
import { LIGHT_USE } from '../use.js';

const NAMES = {
  pause: 'pause, base template after light use',
  connect: 'connect to a paused sandbox, base template',
  first: "connect to the first command's output, base template",
  create: 'create',
  stored: 'stored bytes of a paused sandbox, base template after light use',
};

export const lightUse: Measurement = {
  name: 'light-use',
  about:
    'A sandbox of the base template is created, used a little (Python with three modules, 20 MB of random bytes into a ' +
    'file, Node), paused, connected, asked for `echo hello`, and killed; in turn with an equal guest on plain libvirt ' +
    'that was used in the same way, saved onto disk and onto tmpfs.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService();
  const floor = await context.startFloor(service);
  const { client } = service;
  const times = { create: [] as Timed[], pause: [] as Timed[], connect: [] as Timed[] };
  const seconds = { first: [] as number[], kill: [] as number[] };
  const plain = {
    save: [] as number[],
    restore: [] as number[],
    tmpfsSave: [] as number[],
    tmpfsRestore: [] as number[],
  };
  const bytes = { stored: [] as number[], all: [] as number[], programs: [] as number[] };
  await runCommand(floor.door, LIGHT_USE);
  for (let number = 1; number <= context.runs; number++) {
    context.say(`light use, run ${number} of ${context.runs}`);
    const { sandbox, ...create } = await client.create();
    times.create.push(create);
    await runCommand(client.door(sandbox), LIGHT_USE);
    const { all, programs } = await memoryInUse(client.door(sandbox));
    times.pause.push(await client.pause(sandbox));
    bytes.stored.push(await imageBytes(service.paths.sandbox(sandbox.id).directory));
    bytes.all.push(all);
    bytes.programs.push(programs);
    const connect = await client.connect(sandbox);
    times.connect.push(connect);
    seconds.first.push(connect.seconds + (await runCommand(client.door(sandbox), 'echo hello')).seconds);
    seconds.kill.push((await client.kill(sandbox)).seconds);
    plain.save.push(await floor.save());
    plain.restore.push(await floor.restore());
    plain.tmpfsSave.push(await floor.save('tmpfs'));
    plain.tmpfsRestore.push(await floor.restore('tmpfs'));
  }
  const of = (timed: Timed[]): number[] => timed.map((one) => one.seconds);
  const middle = (operation: string, timed: Timed[]): Promise<Trace> =>
    service.trace(operation, timed[medianIndex(of(timed))]!);
  const mib = (values: number[]): number[] => values.map((value) => value / 2 ** 20);
  return {
    rows: [
      ratio(NAMES.pause, { goal: '<= 1.0 x floor', limit: 1, must: true }, of(times.pause), plain.save),
      ratio(NAMES.connect, { goal: '<= 1.0 x floor', limit: 1, must: true }, of(times.connect), plain.restore),
      row(NAMES.first, { goal: '<= 1 s', limit: 1 }, 's', seconds.first),
      ratio(NAMES.create, { goal: '<= 1.2 x connect', limit: 1.2, must: true }, of(times.create), of(times.connect)),
      ratio(NAMES.stored, { goal: '<= 0.3', limit: 0.3 }, mib(bytes.stored), mib(bytes.all), 'MiB'),
      row('pause', undefined, 's', of(times.pause)),
      row('connect', undefined, 's', of(times.connect)),
      row('create, seconds', undefined, 's', of(times.create)),
      row('kill', undefined, 's', seconds.kill),
      row('plain save and fsync', undefined, 's', plain.save),
      row('plain restore until the agent answers', undefined, 's', plain.restore),
      row('plain save onto tmpfs', undefined, 's', plain.tmpfsSave),
      row('plain restore from tmpfs', undefined, 's', plain.tmpfsRestore),
      ratio('stored bytes per memory of programs alone', undefined, mib(bytes.stored), mib(bytes.programs), 'MiB'),
    ],
    traces: [
      await middle('create', times.create),
      await middle('pause, light use', times.pause),
      await middle('connect', times.connect),
    ],
  };
}

/** What the disk has of a sleeping sandbox's memory. */
async function imageBytes(directory: string): Promise<number> {
  const images = (await readdir(directory)).filter((name) => name.startsWith('image-'));
  const sizes = await Promise.all(images.map(async (name) => (await stat(path.join(directory, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
