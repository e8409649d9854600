import { spawn } from 'node:child_process';
import { rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { guestProcesses, runningProcesses } from '../invariants/observe-processes.js';
import { DOMAIN_PREFIX } from '../../activities/machine.js';
import { HOST_THREADS } from '../config.js';
import { takenBy } from '../host/host-lock.js';
import { prepareLibvirt } from '../setup/libvirt.js';
import type { Guest } from './guest.js';
import type { Fault } from './plan.js';
import type { Rig } from './rig.js';

const MIB = 1024 * 1024;
/** Longer than the heartbeat's timeout of every step. */
const FROZEN_MS = 18_000;
/** Temporal and the manifests go on with this, no image fits. */
const LEFT_ON_DISK_MIB = 48;
const LEFT_IN_MEMORY_MIB = 64;

export interface Injection {
  /** What to undo before the world is looked at. */
  undo: () => Promise<void>;
  /** Whether the fault took place; ask after the step. */
  tookPlace: () => Promise<boolean>;
}

/** Faults that are there before the step begins. */
export async function prepare(rig: Rig, fault: Fault, guest?: Guest): Promise<Injection> {
  const nothing: Injection = { undo: async () => undefined, tookPlace: async () => true };
  switch (fault.kind) {
    case 'point':
      await rig.arm(fault.lines);
      return { undo: () => rig.arm([]), tookPlace: async () => !(await rig.isArmed()) };
    case 'no-disk': {
      const filler = path.join(rig.config.stateDir, 'filler');
      const { bavail, bsize } = await statfs(rig.config.stateDir);
      await execa('fallocate', ['-l', String(bavail * bsize - LEFT_ON_DISK_MIB * MIB), filler]);
      return { ...nothing, undo: () => rm(filler) };
    }
    case 'no-memory': {
      const memory = path.join(rig.config.stateDir, 'memory');
      const { blocks, bfree, bsize } = await statfs(memory);
      const resize = (bytes: number) => execa('mount', ['-o', `remount,size=${bytes}`, memory]);
      await resize((blocks - bfree) * bsize + LEFT_IN_MEMORY_MIB * MIB);
      return { ...nothing, undo: async () => void (await resize(blocks * bsize)) };
    }
    case 'guest-panic':
      if (guest === undefined) throw new Error('there is no guest yet that could panic');
      await rig.client.panic(guest);
      return nothing;
    case 'clock':
      return { ...nothing, undo: () => rig.stepClock(0) };
    default:
      return nothing;
  }
}

/**
 * Faults that come while the step is under way.
 * @param aimedAt whether a machine is the step's own. @returns whether it took place.
 */
export async function strike(rig: Rig, fault: Fault, aimedAt: (id: string) => boolean): Promise<boolean> {
  switch (fault.kind) {
    case 'kill':
      await delay(fault.afterMs);
      await rig.service.child(fault.role).crash();
      return true;
    case 'kill-qemu':
      await delay(fault.afterMs);
      return killQemu(rig, aimedAt);
    case 'restart-libvirtd':
      await delay(fault.afterMs);
      await restartLibvirtd(rig);
      return true;
    case 'freeze-host-worker': {
      await delay(fault.afterMs);
      const worker = rig.service.child('host-worker');
      worker.signal('SIGSTOP');
      await delay(FROZEN_MS);
      return worker.signal('SIGCONT');
    }
    case 'second-host-worker':
      return secondHostWorkerRefuses(rig);
    case 'clock':
      await delay(fault.afterMs);
      await rig.stepClock(fault.byMs);
      return true;
    case 'host-beside':
      return liveBeside(rig);
    default:
      return true;
  }
}

async function liveBeside(rig: Rig): Promise<boolean> {
  const neighbour = await rig.startNeighbour();
  try {
    await neighbour.live();
    return true;
  } finally {
    await neighbour.end();
  }
}

async function killQemu(rig: Rig, aimedAt: (id: string) => boolean): Promise<boolean> {
  const { stateDir } = rig.config;
  const found = guestProcesses(await runningProcesses(), { stateDir, domainPrefix: DOMAIN_PREFIX, known: new Set() });
  const his = found.filter((one) => one.kind === 'qemu' && aimedAt(one.id));
  for (const { pid } of his) process.kill(pid, 'SIGKILL');
  return his.length > 0;
}

async function restartLibvirtd(rig: Rig): Promise<void> {
  const pids = (await runningProcesses()).filter(({ args }) => args[0]?.split('/').at(-1) === 'libvirtd');
  for (const { pid } of pids) process.kill(pid, 'SIGTERM');
  const alive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  while (pids.some(({ pid }) => alive(pid))) await delay(50);
  await prepareLibvirt(rig.config, () => undefined);
}

async function secondHostWorkerRefuses(rig: Rig): Promise<boolean> {
  const main = fileURLToPath(new URL('../mains/host-worker.js', import.meta.url));
  const child = spawn(process.execPath, [main], {
    env: { ...rig.env, UV_THREADPOOL_SIZE: String(HOST_THREADS) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0 && said.includes(takenBy(rig.config.stateDir))) return true;
  throw new Error(`a second host worker did not refuse for its lock: exit code ${code}, ${said.slice(0, 300)}`);
}
