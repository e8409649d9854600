import { beforeEach, describe, expect, test } from 'vitest';
import { LibvirtUnreachableError, VirshError } from '../../src/libvirt/errors.js';
import { isOfTheHost, Shares } from '../../src/libvirt/shares.js';

const LOCK = 'Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainSave)';
const NOT_MOUNTED = "Requested operation is not valid: blkio cgroup isn't mounted";
const VANISHED =
  "Unable to write to '/sys/fs/cgroup/machine.slice/machine-qemu.scope/cpu.weight': No such file or directory";

let ran: string[][];
/** What virsh says to a command of a machine; absent: it obeys. */
let says: (command: string, machine: string) => string | undefined;
let at: number;
let shares: Shares;
const run = ([command = '', machine = '', ...rest]: string[]): Promise<void> => {
  ran.push([command, machine, ...rest]);
  const said = says(command, machine);
  return said === undefined
    ? Promise.resolve()
    : Promise.reject(new VirshError(`virsh ${command} failed: error: ${said}`));
};
beforeEach(() => {
  [ran, says, at] = [[], () => undefined, 0];
  shares = new Shares(run, () => at);
});

/** The commands that a machine's share needs, tried anew. */
async function triedFor(machine: string): Promise<string[]> {
  ran = [];
  await shares.set(machine, 0.5, 1000).catch(() => undefined);
  return ran.map(([command = '']) => command);
}

test('a machine’s share is set in all that the host has', async () => {
  expect(await shares.set('m1', 0.5, 1000)).toEqual([]);
  expect(ran.map((command) => command.join(' '))).toEqual([
    expect.stringMatching(/^schedinfo m1 --live --set cpu_shares=(50|512)$/),
    'blkiotune m1 --live --weight 50',
    'blkdeviotune m1 vda --live --total-bytes-sec 1000',
  ]);
});

test.each([
  'Requested operation is not valid: cgroup CPU controller is not mounted',
  NOT_MOUNTED,
  "internal error: v2 controller 'io' is not available",
  "internal error: v1 controller 'blkio' is not mounted",
  'Operation not supported: CPU tuning is not available in session mode',
  'Operation not supported: Block I/O tuning is not available in session mode',
  'Requested operation is not valid: blkio device weight is valid only for bfq or cfq scheduler',
  "unsupported configuration: block I/O throttling is not supported for disk 'vda'",
  "Unable to write to '/sys/fs/cgroup/machine.slice/cpu.weight': Read-only file system",
])('that says of the host: %s', (message) => expect(isOfTheHost(message)).toBe(true));

test.each([
  ...[LOCK, VANISHED, 'Requested operation is not valid: domain is not running', "Domain not found: no domain 'm1'"],
  'internal error: Unable to get machine name',
  'error from service: GDBus.Error:org.freedesktop.systemd1.NoSuchUnit: Unit machine-qemu.scope not loaded.',
])('that says of one machine: %s', (message) => expect(isOfTheHost(message)).toBe(false));

describe('what the host has not', () => {
  test('is named, keeps nothing else from being set, and is not tried for other machines', async () => {
    says = (command) => (command === 'blkiotune' ? NOT_MOUNTED : undefined);
    expect(await shares.set('m1', 0.5, 1000)).toEqual(['weights of disks']);
    expect(ran).toHaveLength(3);
    expect(await triedFor('m2')).toEqual(['schedinfo', 'blkdeviotune']);
  });

  test('is tried again some time later', async () => {
    says = (command) => (command === 'blkiotune' ? NOT_MOUNTED : undefined);
    await shares.set('m1', 0.5, 1000);
    says = () => undefined;
    at += 3_600_000;
    expect(await triedFor('m2')).toEqual(['schedinfo', 'blkiotune', 'blkdeviotune']);
    expect(await shares.set('m2', 0.5, 1000)).toEqual([]);
  });
});

describe('what fails for one machine', () => {
  test.each([
    ['a save that holds it', LOCK],
    ['a cgroup that has just gone', VANISHED],
    ['a machine that ends', 'Requested operation is not valid: domain is not running'],
  ])('is told, and tried for the next all the same: %s', async (_what, said) => {
    says = (_command, machine) => (machine === 'm1' ? said : undefined);
    await expect(shares.set('m1', 0.5, 1000)).rejects.toThrow(said);
    expect(await triedFor('m2')).toEqual(['schedinfo', 'blkiotune', 'blkdeviotune']);
    expect(await shares.set('m2', 0.5, 1000)).toEqual([]);
  });

  test('is of that machine also when it sounds like the host, once the host has shown that it can', async () => {
    await shares.set('m1', 0.5, 1000);
    says = (command, machine) =>
      command === 'blkiotune' && machine === 'm2'
        ? 'blkio device weight is valid only for bfq or cfq scheduler'
        : undefined;
    await expect(shares.set('m2', 0.5, 1000)).rejects.toThrow(/valid only for/);
    expect(await triedFor('m3')).toEqual(['schedinfo', 'blkiotune', 'blkdeviotune']);
  });

  test('keeps nothing else from being set, unless the machine as a whole is away or held', async () => {
    says = (command) => (command === 'schedinfo' ? VANISHED : undefined);
    expect(await triedFor('m1')).toEqual(['schedinfo', 'blkiotune', 'blkdeviotune']);
    says = () => LOCK;
    expect(await triedFor('m1')).toEqual(['schedinfo']);
  });
});

test('a libvirt that does not answer says nothing of the host', async () => {
  const away = new Shares(() => Promise.reject(new LibvirtUnreachableError('qemu:///system', 'failed to connect')));
  await expect(away.set('m1', 0.5, 1000)).rejects.toBeInstanceOf(LibvirtUnreachableError);
});

test('where the host has no weights of CPU, the session of its QEMU gets the share, and nothing is missing', async () => {
  says = (command) =>
    command === 'schedinfo' ? 'Requested operation is not valid: cgroup CPU controller is not mounted' : undefined;
  const given: [string, number][] = [];
  shares = new Shares(
    run,
    () => at,
    (name, share) => {
      given.push([name, share]);
      return Promise.resolve(true);
    },
  );
  expect(await shares.set('m1', 0.5, undefined)).toEqual([]);
  expect(await shares.set('m1', 1, undefined)).toEqual([]);
  expect(given).toEqual([
    ['m1', 0.5],
    ['m1', 1],
  ]);
});
