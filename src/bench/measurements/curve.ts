import path from 'node:path';
import { Filler } from '../filler.js';
import { FloorTimes } from '../floor-times.js';
import { gvisorVersion, GvisorContainer } from '../gvisor.js';
import { besideFloor } from '../large-guest.js';
import type { Context, Measurement, Outcome } from '../measurement.js';
import type { Plot } from '../plot.js';
import { QemuSnapshot } from '../qemu-snapshot.js';
import { median, row, shown } from '../statistics.js';

const SIZES_MIB = [256, 1_024, 2_048, 4_096];
/** The largest, and room for the guest itself. */
const GUEST_MIB = 5_120;
/** The largest takes minutes each time. */
const MOST_RUNS = 3;
const LARGEST = `${SIZES_MIB.at(-1)} MiB in use`;
const NAMES = { pause: `curve, pause, ${LARGEST}`, connect: `curve, connect, ${LARGEST}` };

const OURS = 'Dormouse';
const PLAIN = 'virsh save and restore';
const SNAPSHOT = "QEMU's snapshot-save";
const GVISOR = 'gVisor checkpoint';
type System = typeof OURS | typeof PLAIN | typeof SNAPSHOT | typeof GVISOR;

export const curve: Measurement = {
  name: 'curve',
  about:
    `A process that holds so much seeded memory, half random and half text, all of it new, in guests of ${GUEST_MIB} MiB: paused ` +
    'and connected by Dormouse (sealed, durable, answered over REST), saved with fsync and restored until the agent answers by ' +
    "plain libvirt, and by QEMU's own `snapshot-save` into the disk's file (fsync) and `snapshot-load`, whose QEMU stays there; " +
    "beside gVisor's checkpoint (fsync) and restore of the same process in a container, until its next line: no machine, no kernel, " +
    'nothing emulated. One after the other; every memory is summed up afterwards.',
  rows: Object.values(NAMES),
  run,
};

class Times {
  readonly #seconds = new Map<string, number[]>();

  add(system: System, what: 'save' | 'wake', size: number, seconds: number): void {
    this.of(system, what, size).push(seconds);
  }

  of(system: System, what: 'save' | 'wake', size: number): number[] {
    const key = `${system} ${what} ${size}`;
    const found = this.#seconds.get(key) ?? [];
    this.#seconds.set(key, found);
    return found;
  }
}

async function run(context: Context): Promise<Outcome> {
  const { service, floor, held } = await besideFloor(context, GUEST_MIB);
  const gvisor = await gvisorVersion();
  const systems: System[] = [OURS, PLAIN, SNAPSHOT, ...(gvisor === undefined ? [] : ([GVISOR] as const))];
  const runs = Math.min(context.runs, MOST_RUNS);
  const times = new Times();
  const snapshot = new QemuSnapshot(floor, service.config.libvirtUri);
  const container = new GvisorContainer(path.join(service.config.stateDir, 'bench', 'gvisor'));
  context.atEnd(() => container.remove());
  for (const size of SIZES_MIB) {
    for (let number = 1; number <= runs; number++) {
      context.say(`${size} MiB, run ${number} of ${runs}`);
      const { sandbox } = await service.client.create();
      const filler = await Filler.start(service.client.door(sandbox));
      await filler.fill(size, number);
      times.add(OURS, 'save', size, (await service.client.pause(sandbox)).seconds);
      times.add(OURS, 'wake', size, (await service.client.connect(sandbox)).seconds);
      await filler.verify();
      await service.client.kill(sandbox);

      const plain = new FloorTimes(floor);
      await held.fill(size, number);
      await plain.measure(false);
      times.add(PLAIN, 'save', size, plain.save[0]!);
      times.add(PLAIN, 'wake', size, plain.restore[0]!);
      times.add(SNAPSHOT, 'save', size, await snapshot.save());
      times.add(SNAPSHOT, 'wake', size, await snapshot.load());
      await held.verify();

      if (gvisor === undefined) continue;
      await container.start(size, number);
      times.add(GVISOR, 'save', size, await container.checkpoint());
      times.add(GVISOR, 'wake', size, await container.restore());
      await container.verify();
      await container.remove();
    }
  }
  return outcome(times, systems, gvisor);
}

function outcome(times: Times, systems: System[], gvisor: string | undefined): Outcome {
  const largest = SIZES_MIB.at(-1)!;
  const plot = (name: string, title: string, what: 'save' | 'wake'): Plot => ({
    ...{ name, title, x: 'MiB in use', y: 'seconds' },
    lines: systems.map((system) => ({
      name: system,
      points: SIZES_MIB.map((size): [number, number] => [size, median(times.of(system, what, size))]),
    })),
  });
  const cells =
    (what: 'save' | 'wake') =>
    (system: System): string =>
      `| ${what === 'save' ? 'pause' : 'wake'}, ${system} | ${SIZES_MIB.map((size) => `${shown(median(times.of(system, what, size)))} s`).join(' | ')} |`;
  return {
    rows: [
      row(NAMES.pause, undefined, 's', times.of(OURS, 'save', largest)),
      row(NAMES.connect, undefined, 's', times.of(OURS, 'wake', largest)),
    ],
    plots: [
      plot('curve-pause', 'Pause, by memory in use', 'save'),
      plot('curve-wake', 'Connect, by memory in use', 'wake'),
    ],
    notes: [
      [
        `| MiB in use | ${SIZES_MIB.join(' | ')} |`,
        `|---|${SIZES_MIB.map(() => '---').join('|')}|`,
        ...systems.map(cells('save')),
        ...systems.map(cells('wake')),
      ].join('\n'),
      gvisor === undefined
        ? 'gVisor is not in it: there is no `runsc` on this machine (Debian has a package of that name).'
        : `gVisor: ${gvisor}, platform ptrace.`,
    ],
  };
}
