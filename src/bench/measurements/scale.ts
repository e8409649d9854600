import { growthText, isFasterThanLinear } from '../growth.js';
import { ScaleScene, type ScaleFigures } from '../machineless/scale-scene.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import { row, shown, type Row } from '../statistics.js';

/** Parts of the whole at which everything is looked at. */
const STEPS = [0, 0.25, 0.5, 1];
const TIMERS_PART = 0.1;
const ROW = {
  growth: 'scale, figures that grow faster than linearly',
  list: 'scale, list of all sandboxes, page of 100',
  late: 'scale, lateness of timers due in the same minute',
};

export const scale: Measurement = {
  name: 'scale',
  about:
    'Paused sandboxes on one host whose machines are not there, with real Temporal. Most of them have the files of one ' +
    'that was really paused and a workflow that begins asleep, as after a continue-as-new. At each size host worker and ' +
    'control worker are started anew; then 20 lists and 10 rounds of create, pause, connect and kill go through the API ' +
    'before memory is looked at. The first look of the reaper at everything, which comes with each start of a host worker, is ' +
    'under way meanwhile, as it would be. At last so many more as a tenth, whose expiry spreads over one minute: lateness is from ' +
    'the deadline to the end of the workflow, after the files are gone.',
  rows: Object.values(ROW),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const scene = await ScaleScene.start(await context.startMachineless({ DORMOUSE_TRACE_FILE: '' }), context);
  const sizes: number[] = [];
  const figures: ScaleFigures[] = [];
  for (const part of STEPS) {
    const size = Math.round(part * context.scale);
    context.say(`${size} paused sandboxes`);
    await scene.growTo(size);
    sizes.push(size);
    figures.push(await scene.figures());
  }
  const timers = Math.round(TIMERS_PART * context.scale);
  context.say(`${timers} timers in the same minute`);
  const late = await scene.timers(timers);
  const names = Object.keys(figures[0]!);
  const curveOf = (name: string) => sizes.map((size, index): [number, number] => [size, figures[index]![name]!]);
  const faster = names.filter((name) => isFasterThanLinear(curveOf(name)));
  const size = String(context.scale);
  return {
    rows: [
      { ...one(ROW.growth, faster.length, 'of them'), goal: 'none', limit: 0, figure: faster.join(', ') },
      one(`${ROW.list}`, figures.at(-1)!['list, ms']!, 'ms', `${size} sandboxes`),
      { ...row(ROW.late, undefined, 's', late), figure: `${late.length} timers, ${size} others asleep` },
    ],
    notes: [
      [
        `| paused sandboxes | ${sizes.join(' | ')} | growth |`,
        `|---|${sizes.map(() => '---').join('|')}|---|`,
        ...names.map(
          (name) => `| ${name} | ${figures.map((at) => shown(at[name]!)).join(' | ')} | ${growthText(curveOf(name))} |`,
        ),
      ].join('\n'),
    ],
  };
}

const one = (name: string, value: number, unit: string, figure = ''): Row => ({
  ...{ name, goal: '', value, unit, better: 'lower', runs: 1, spread: [value, value], figure },
});
