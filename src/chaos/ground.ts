import { execa } from 'execa';
import { mkdir, readFile, realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { derivedUuid, DOMAIN_PREFIX } from '../../activities/machine.js';
import type { Config } from '../config.js';
import { readClaims, SLOTS_DIRECTORY } from '../host/slot-claims.js';
import { observeSecrets } from '../invariants/observe-libvirt.js';

/** So that memory can run out without anyone else's on this machine. */
const MEMORY_MIB = 3_500;
const DISK_MIB = 6_000;
/** Processes that were killed let go of their files a moment later. */
const RELEASED_WITHIN_MS = 20_000;

/** The place of a run's state: small file systems of its own, so that they can be filled, and lose their power. */
export type Ground = Pick<Config, 'stateDir' | 'libvirtUri'>;

/** A new, empty state directory on a disk of its own. */
export async function layGround({ stateDir }: Ground): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  await execa('truncate', ['-s', `${DISK_MIB}M`, diskOf(stateDir)]);
  await execa('mkfs.ext4', ['-q', '-F', '-m', '0', diskOf(stateDir)]);
  await mountGround(stateDir);
}

/** The disk as it is, and an empty tmpfs on it. */
export async function mountGround(stateDir: string): Promise<void> {
  // A loop device of its own each time: where another mount namespace still holds the old one, its file system, dead
  // since the power was cut, would be what is mounted. Detached at once, which takes effect with the last use.
  const { stdout: device } = await execa('losetup', ['--find', '--show', diskOf(stateDir)]);
  await execa('mount', [device, stateDir]).finally(() => execa('losetup', ['--detach', device]));
  const memory = path.join(stateDir, 'memory');
  await mkdir(memory, { recursive: true });
  const options = `mode=711,size=${MEMORY_MIB}m`;
  const mount = (more: string) =>
    execa('mount', ['-t', 'tmpfs', '-o', `${options}${more}`, 'dormouse', memory], { reject: false });
  if ((await mount(',noswap')).exitCode !== 0) await mount('');
}

/** @throws Error when something of the run still uses it after the bound. */
export async function unmountGround(stateDir: string): Promise<void> {
  const end = Date.now() + RELEASED_WITHIN_MS;
  for (const directory of [path.join(stateDir, 'memory'), stateDir]) {
    while (await isMounted(directory)) {
      const { exitCode, stderr } = await execa('umount', [directory], { reject: false });
      if (exitCode === 0) continue;
      if (Date.now() > end) throw new Error(stderr);
      await delay(100);
    }
  }
}

async function isMounted(directory: string): Promise<boolean> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  return mounts.some((line) => line.split(' ')[1] === directory);
}

/** What an earlier run on this state directory left: machines, mounts, files. */
export async function clearGround(ground: Ground): Promise<void> {
  await endMachines(ground);
  await unmountGround(ground.stateDir);
  await rm(ground.stateDir, { recursive: true, force: true });
  await rm(diskOf(ground.stateDir), { force: true });
}

/** Domains, secrets and claims of this state directory, whatever the service thinks of them. */
export async function endMachines(ground: Ground): Promise<void> {
  const { libvirtUri } = ground;
  const virsh = (...args: string[]) => execa('virsh', ['-c', libvirtUri, '-q', ...args], { reject: false });
  const stateDir = await realpath(ground.stateDir).catch(() => ground.stateDir);
  const { stdout } = await virsh('list', '--name', '--all');
  for (const name of stdout.split('\n').filter((line) => line.startsWith(DOMAIN_PREFIX))) {
    if (!(await virsh('dumpxml', name)).stdout.includes(`${stateDir}/`)) continue;
    await virsh('destroy', name);
    await virsh('secret-undefine', derivedUuid(name.slice(DOMAIN_PREFIX.length), 'secret'));
  }
  const scope = { stateDir, known: new Set<string>(), secretUuid: (id: string) => derivedUuid(id, 'secret') };
  for (const { uuid } of await observeSecrets(libvirtUri, scope).catch(() => [])) await virsh('secret-undefine', uuid);
  for (const claim of await readClaims(SLOTS_DIRECTORY)) {
    if (claim.stateDir === ground.stateDir) await rm(path.join(SLOTS_DIRECTORY, String(claim.slot)), { force: true });
  }
}

const diskOf = (stateDir: string): string => `${stateDir}.disk`;
