import type { Context, Measurement, Outcome } from '../measurement.js';
import { runCommand } from '../run-command.js';
import type { Sandbox, ServiceClient } from '../service-client.js';
import { row } from '../statistics.js';

/** Beside busy guests, where a boot takes as long as fifty resumes. */
const MOST_BESIDE = 5;
const BUSY_GUESTS = 2;
/** Until the processes that it starts are ended with their guest. */
const BUSY = "for each in 1 2; do setsid nohup sh -c 'while :; do :; done' > /dev/null 2>&1 < /dev/null & done";

const NAMES = {
  alone: 'connect to a sandbox that was paused without its memory',
  beside: 'the same beside two guests with two busy processes each',
  shutdown: 'pause without memory',
};

export const coldBoot: Measurement = {
  name: 'cold-boot',
  about:
    'A sandbox is paused without its memory, so that its guest is shut down, and connected, so that it boots from its ' +
    `disk; until the connect is answered. Then again while ${BUSY_GUESTS} other guests compute, ${MOST_BESIDE} times at most. ` +
    'A boot that hangs ends the measurement.',
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const { client } = await context.startService();
  const alone = await boots(context, client, context.runs, 'alone');
  const busy: Sandbox[] = [];
  for (let number = 1; number <= BUSY_GUESTS; number++) {
    const { sandbox } = await client.create();
    await runCommand(client.door(sandbox), BUSY);
    busy.push(sandbox);
  }
  const beside = await boots(context, client, Math.min(context.runs, MOST_BESIDE), 'beside busy guests');
  for (const sandbox of busy) await client.kill(sandbox);
  return {
    rows: [
      row(NAMES.alone, { goal: '<= 30 s', limit: 30, must: true }, 's', alone.connect),
      row(NAMES.beside, { goal: '<= 55 s', limit: 55, must: true }, 's', beside.connect),
      row(NAMES.shutdown, undefined, 's', alone.pause),
    ],
  };
}

async function boots(
  context: Context,
  client: ServiceClient,
  runs: number,
  how: string,
): Promise<{ pause: number[]; connect: number[] }> {
  const times = { pause: [] as number[], connect: [] as number[] };
  for (let number = 1; number <= runs; number++) {
    context.say(`cold boot ${how}, run ${number} of ${runs}`);
    const { sandbox } = await client.create();
    times.pause.push(
      (await client.call('POST', `/sandboxes/${sandbox.id}/pause`, { memory: false }, 204, 409)).seconds,
    );
    times.connect.push((await client.connect(sandbox)).seconds);
    await client.kill(sandbox);
  }
  return times;
}
