import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { SUITES } from './apt-sources.js';
import { KERNEL_PACKAGE } from './rootfs.js';

const recipe = fileURLToPath(new URL('./recipe/', import.meta.url));
const ownRequire = createRequire(import.meta.url);

/**
 * Everything that a template is made of, by name; while there is one of the same, none is built. Changing the layout of a
 * build raises `layout`.
 */
export interface TemplateInputs {
  layout: number;
  accelerator: 'kvm' | 'tcg';
  machineType: string;
  cpuModel: string;
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  /** Of Debian; what is in them at the time of the build is no input. */
  suites: string[];
  kernelPackage: string;
  kernelArguments: string;
  macAddress: string;
  panicDevice: boolean;
  /** SHA-256 of file contents, by path. */
  files: Record<string, string>;
  versions: Record<string, string>;
}

const LAYOUT = 2;
/**
 * Under emulation a model whose every feature QEMU's TCG has: no warnings, no feature that is silently missing.
 * Under KVM the oldest level that current distributions ask for, so that a saved machine fits other hosts.
 */
const CPU_MODEL = { tcg: 'Nehalem', kvm: 'Haswell-noTSX-IBRS' } as const;
const MACHINE_TYPE = 'pc-q35-10.0';
/** All guests have the same one: each is alone behind a passt of its own. */
const MAC_ADDRESS = '52:54:00:d0:00:01';
/**
 * `panic=5`: a kernel that panics before it knows the panic device, or without one, reboots after so many seconds. The
 * second line turns off what a boot does not need.
 */
const KERNEL_ARGUMENTS = [
  'root=/dev/vda rw quiet console=ttyS0 random.trust_cpu=off net.ifnames=0 systemd.show_status=0 no_timer_check tsc=unstable panic=5',
  'audit=0 lsm=landlock,yama cryptomgr.notests rcupdate.rcu_expedited=1',
].join(' ');
/** An emulated CPU has none of the faults that the mitigations cost time for at every call of the kernel. */
const ARGUMENTS_OF = { tcg: ' mitigations=off', kvm: '' } as const;

export async function templateInputs(options: {
  accelerator: 'kvm' | 'tcg';
  cpuCount: number;
  memoryMiB: number;
  diskMiB: number;
  agentDir: string;
  nodeBinary: string;
  agentVersion: string;
}): Promise<TemplateInputs> {
  const npm = JSON.parse(await readFile(ownRequire.resolve('npm/package.json'), 'utf8')) as { version: string };
  const qemu = (await execa('qemu-system-x86_64', ['--version'])).stdout.split('\n')[0] ?? '';
  const node = (await execa(options.nodeBinary, ['--version'])).stdout;
  return {
    layout: LAYOUT,
    accelerator: options.accelerator,
    machineType: MACHINE_TYPE,
    cpuModel: CPU_MODEL[options.accelerator],
    cpuCount: options.cpuCount,
    memoryMiB: options.memoryMiB,
    diskMiB: options.diskMiB,
    suites: SUITES,
    kernelPackage: KERNEL_PACKAGE,
    kernelArguments: KERNEL_ARGUMENTS + ARGUMENTS_OF[options.accelerator],
    macAddress: MAC_ADDRESS,
    panicDevice: true,
    files: { ...(await hashes(recipe)), ...(await hashes(options.agentDir)) },
    versions: { qemu, node, npm: npm.version, agent: options.agentVersion },
  };
}

/** @returns 32 hex digits. */
export const hashInputs = (inputs: TemplateInputs): string =>
  createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 32);

/**
 * The key of a build: of no other one, also of the same inputs. The memory of a booted guest is never the same twice, and a
 * sandbox that sleeps on one must not wake on another.
 */
export const newTemplateKey = (inputsHash: string): string => inputsHash + randomBytes(8).toString('hex');

async function hashes(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const hashed = await Promise.all(
    files.sort().map(async (file) => {
      const digest = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      return [path.relative(directory, file), digest] as const;
    }),
  );
  return Object.fromEntries(hashed);
}
