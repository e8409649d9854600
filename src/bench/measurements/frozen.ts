import { Filler, FILLER_PORT } from '../filler.js';
import { LARGE_GUEST_MIB, LARGE_USE_MIB } from '../large-guest.js';
import type { Context, Measurement, Outcome, Trace } from '../measurement.js';
import { median, medianIndex, ratio, row, shown } from '../statistics.js';
import { Ticks } from '../ticks.js';

/** Little, in a guest of the base template's size. */
const SMALL_USE_MIB = 16;
/** "Constant in memory size", as a limit for the ratio of the two. */
const ABOUT_EQUAL = 1.25;

const NAMES = {
  small: 'frozen part of a pause, base template',
  large: 'frozen part of a pause, 2 GiB in use',
  equal: 'frozen part of a pause, 2 GiB in use against base template',
};

export const frozen: Measurement = {
  name: 'frozen',
  about:
    'A process in the guest sends a line every 10 ms through the data plane to a client; then the sandbox is paused. The ' +
    "time from the arrival of the last line to the end of libvirt's save (span `save` of the trace; one machine, one " +
    'clock), with little in memory and with 2 GiB. It holds up to 10 ms in which the guest still ran.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const small = await sizes(context, 'base template', SMALL_USE_MIB);
  const large = await sizes(context, '2 GiB', LARGE_USE_MIB, LARGE_GUEST_MIB);
  const goal = { goal: '<= 0.5 s', limit: 0.5, must: true };
  return {
    rows: [
      row(NAMES.small, goal, 's', small.frozen),
      row(NAMES.large, goal, 's', large.frozen),
      ratio(NAMES.equal, { goal: `<= ${ABOUT_EQUAL} x`, limit: ABOUT_EQUAL, must: true }, large.frozen, small.frozen),
    ],
    notes: [
      `Before the pauses the longest time between two lines was ${shown(median(small.gaps))} ms (base template) and ` +
        `${shown(median(large.gaps))} ms (2 GiB), as a median of the runs.`,
    ],
    traces: [small.trace, large.trace],
  };
}

interface Frozen {
  /** Seconds. */
  frozen: number[];
  /** Milliseconds. */
  gaps: number[];
  trace: Trace;
}

async function sizes(context: Context, of: string, useMiB: number, memoryMiB?: number): Promise<Frozen> {
  const service = await context.startService(memoryMiB === undefined ? {} : { memoryMiB });
  const { client } = service;
  const { sandbox } = await client.create();
  const filler = await Filler.start(client.door(sandbox));
  await filler.fill(useMiB, 1);
  const found: { frozen: number[]; gaps: number[]; traces: Trace[] } = { frozen: [], gaps: [], traces: [] };
  for (let number = 1; number <= context.runs; number++) {
    context.say(`frozen, ${of}, run ${number} of ${context.runs}`);
    const ticks = await Ticks.listen(client.door(sandbox, FILLER_PORT));
    const pause = await client.pause(sandbox);
    await ticks.stop();
    const trace = await service.trace(`pause while a process ticks, ${of}`, pause);
    const saved = endOfSave(trace);
    found.traces.push(trace);
    found.frozen.push((saved - ticks.lastBefore(saved)) / 1000);
    found.gaps.push(ticks.longestGapBefore(ticks.lastBefore(saved)));
    await client.connect(sandbox);
  }
  await filler.verify();
  // The other size must not be measured beside it.
  await client.kill(sandbox);
  await service.stop();
  return { ...found, trace: found.traces[medianIndex(found.frozen)]! };
}

/** Milliseconds since the epoch. @throws Error when the trace has no save. */
function endOfSave({ spans }: Trace): number {
  const save = spans.find(({ name }) => name === 'save');
  if (save === undefined) throw new Error('the trace of a pause has no span "save"');
  return (save.startUs + save.durationUs) / 1000;
}
