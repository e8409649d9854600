import { access } from 'node:fs/promises';
import { execa } from 'execa';

/** Twice as fast as guests is not enough: they may be many. */
const NICE = '-10';
const WEIGHT = '1000';
const SLICE = 'dormouse.slice';

type Run = (command: string, args: string[]) => Promise<boolean>;

const run: Run = async (command, args) =>
  (await execa(command, args, { reject: false, stdin: 'ignore', timeout: 10_000 })).exitCode === 0;

const hasSystemd = (): Promise<boolean> =>
  access('/run/systemd/system').then(
    () => true,
    () => false,
  );

/**
 * What the service's processes are started with, so that they come before guests when CPU and disk are short. Where systemd
 * keeps cgroups, guests are in a slice of their own, beside which nice values say nothing: the service gets a heavier one.
 * Each program replaces itself by the next, so the process and its number stay the same.
 */
export async function beforeGuests(
  say: (line: string) => void,
  host: { hasSystemd: () => Promise<boolean>; run: Run } = { hasSystemd, run },
): Promise<string[]> {
  const nice = ['nice', '-n', NICE, 'ionice', '-t', '-c', '2', '-n', '0'];
  const usable = (await host.run(nice[0]!, [...nice.slice(1), 'true'])) ? nice : [];
  if (usable.length === 0)
    say('the service’s processes cannot be put before guests: nice or ionice does not work here');
  if (!(await host.hasSystemd())) {
    say('no systemd on this host: the service’s processes come before guests by their nice value alone');
    return usable;
  }
  const weights = [`CPUWeight=${WEIGHT}`, `IOWeight=${WEIGHT}`];
  const scope = ['systemd-run', '--scope', '--quiet', '--collect', `--slice=${SLICE}`];
  const works =
    (await host.run('systemctl', ['set-property', '--runtime', SLICE, ...weights])) &&
    (await host.run(scope[0]!, [...scope.slice(1), 'true']));
  if (works) return [...scope, ...usable];
  say(`${SLICE} could not be made: the service’s processes come before guests by their nice value alone`);
  return usable;
}
