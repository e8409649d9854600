import { setTimeout as delay } from 'node:timers/promises';
import { domainName } from '../../../activities/machine.js';
import { bytesBelow } from '../images.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import {
  cpuPercent,
  isThere,
  machineProcesses,
  overheadMiB,
  residentMiB,
  type MachineProcesses,
} from '../process-usage.js';
import { median, row, shown, type Row } from '../statistics.js';

const WINDOW_S = 60;
/** Windows of a minute each; fewer than the runs of what takes seconds. */
const MOST_WINDOWS = 3;
/** What a guest still does after its start. */
const SETTLE_MS = 20_000;

const NAMES = {
  cpu: "idle cost, CPU of a running sandbox beyond an equal plain guest's",
  memory: "idle cost, memory of a running sandbox's machine beyond the guest's own",
  paused: 'idle cost, processes and memory of a paused sandbox',
};

export const idle: Measurement = {
  name: 'idle',
  about:
    `A sandbox that runs and does nothing, beside an equal guest on plain libvirt that does nothing, over the same ${WINDOW_S} s: ` +
    'CPU time from /proc, in per cent of one core; memory is what is resident, of QEMU without the mapping that is the ' +
    "guest's memory. The roles are Temporal, control worker, host worker and api together; they look at their guests every 15 s, which the plain guest is spared.",
  rows: Object.values(NAMES),
  run,
};

async function run(context: Context): Promise<Outcome> {
  const service = await context.startService();
  const floor = await context.startFloor(service);
  const windows = Math.min(context.runs, MOST_WINDOWS);
  const roles = service.processes();
  const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
  const inWindows = async <T>(what: string, work: () => Promise<T>): Promise<T[]> => {
    const found: T[] = [];
    for (let number = 1; number <= windows; number++) {
      context.say(`${what}, minute ${number} of ${windows}`);
      found.push(await work());
    }
    return found;
  };
  const rolesAlone = async (): Promise<number> => sum(await cpuPercent(roles, WINDOW_S));

  // Woken like the sandbox: what translating a whole boot leaves in an emulator's memory goes with its process.
  await floor.save();
  await floor.restore();
  await delay(SETTLE_MS);
  const without = await inWindows('no sandbox', rolesAlone);
  const { sandbox } = await service.client.create();
  await delay(SETTLE_MS);
  const domain = domainName(sandbox.id);
  const [ours, plain] = [await existing(domain), await existing(floor.name)];
  const running = await inWindows('one sandbox runs', async () => {
    const [qemu, passt, plainQemu, plainPasst, ...rest] = (await cpuPercent(
      [ours.qemu, ours.passt, plain.qemu, plain.passt, ...roles],
      WINDOW_S,
    )) as [number, number, number, number, ...number[]];
    return { qemu, passt, plainQemu, plainPasst, roles: sum(rest) };
  });
  const { memoryMiB } = service.template;
  const memory = {
    qemu: await overheadMiB(ours.qemu, memoryMiB),
    passt: await residentMiB(ours.passt),
    plainQemu: await overheadMiB(plain.qemu, memoryMiB),
    plainPasst: await residentMiB(plain.passt),
    roles: sum(await Promise.all(roles.map(residentMiB))),
  };
  await service.client.pause(sandbox);
  const left = (await Promise.all([ours.qemu, ours.passt].map(isThere))).filter(Boolean).length;
  const paused = await inWindows('it is paused', rolesAlone);
  const { memoryDirectory, deviceStateDirectory } = service.paths.sandbox(sandbox.id);
  const places = [memoryDirectory, deviceStateDirectory, service.paths.discarded];
  const bytes = sum(await Promise.all(places.map(bytesBelow)));

  const cpu = {
    beyond: running.map((at) => at.qemu + at.passt - at.plainQemu - at.plainPasst),
    qemu: running.map((at) => at.qemu),
    passt: running.map((at) => at.passt),
    plainQemu: running.map((at) => at.plainQemu),
    plainPasst: running.map((at) => at.plainPasst),
    roles: running.map((at) => at.roles),
  };
  const percent = (values: number[]): string => `${shown(median(values))} %`;
  const mib = (value: number): string => `${shown(value)} MiB`;
  return {
    rows: [
      row(NAMES.cpu, undefined, '% of a core', cpu.beyond),
      {
        ...single(NAMES.memory, memory.qemu + memory.passt, 'MiB'),
        figure: `plain: ${mib(memory.plainQemu + memory.plainPasst)}`,
      },
      {
        ...single(NAMES.paused, left + bytes, ''),
        goal: '0',
        limit: 0,
        figure: `${left} processes, ${bytes} bytes of tmpfs`,
      },
    ],
    notes: [
      [
        '| | CPU, of one core | memory |',
        '|---|---|---|',
        `| QEMU of a running sandbox | ${percent(cpu.qemu)} | ${mib(memory.qemu)} beside the guest's |`,
        `| QEMU of the plain guest | ${percent(cpu.plainQemu)} | ${mib(memory.plainQemu)} beside the guest's |`,
        `| passt of a running sandbox | ${percent(cpu.passt)} | ${mib(memory.passt)} |`,
        `| passt of the plain guest | ${percent(cpu.plainPasst)} | ${mib(memory.plainPasst)} |`,
        `| the roles together, one sandbox runs | ${percent(cpu.roles)} | ${mib(memory.roles)} |`,
        `| the roles together, it is paused | ${percent(paused)} | |`,
        `| the roles together, no sandbox at all | ${percent(without)} | |`,
        `| what a paused sandbox has | 0 %: ${left} processes | ${bytes} bytes of tmpfs |`,
      ].join('\n'),
    ],
  };
}

async function existing(domain: string): Promise<MachineProcesses> {
  const found = await machineProcesses(domain);
  if (found === undefined) throw new Error(`the machine of ${domain} is gone`);
  return found;
}

const single = (name: string, value: number, unit: string): Row => ({
  ...{ name, goal: '', value, unit, better: 'lower', runs: 1, spread: [value, value] },
});
