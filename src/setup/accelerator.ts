import { access, readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { Config } from '../config.js';
import { readJson, writeDurably } from '../durable-file.js';

const PROBE_MS = 8_000;
const DEVICE = '/dev/kvm';
/** The kernel's first words on its serial console; by then it has been through long mode. */
const ALIVE = 'Linux version';

export type Accelerator = 'kvm' | 'tcg';

/**
 * KVM where it works, emulation otherwise. `/dev/kvm` being there proves nothing: a guest's kernel is booted under KVM for
 * a few seconds, once per boot of the host.
 *
 * @param guestKernel asked for only when KVM has to be tried; it may take the making of a guest's files. Undefined: there is none
 */
export async function chooseAccelerator(
  config: Pick<Config, 'accelerator' | 'toolsDir'>,
  say: (line: string) => void,
  guestKernel: () => Promise<string | undefined>,
  kvm: { there: () => Promise<boolean>; boots: (kernel: string) => Promise<boolean> } = { there, boots },
): Promise<Accelerator> {
  if (config.accelerator !== 'auto') return config.accelerator;
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const file = path.join(config.toolsDir, 'accelerator.json');
  const before = (await readJson(file)) as { bootId?: string; accelerator?: Accelerator } | undefined;
  if (before?.bootId === bootId && before.accelerator !== undefined) return before.accelerator;
  let works = false;
  if (await kvm.there()) {
    const kernel = await guestKernel();
    if (kernel === undefined) {
      say('KVM has not been tried yet: there is no template, and so no kernel to try it with');
      return 'tcg';
    }
    works = await kvm.boots(kernel);
  }
  if (!works) say('KVM does not work on this machine: guests are EMULATED, which is many times slower');
  const accelerator = works ? 'kvm' : 'tcg';
  await writeDurably(file, JSON.stringify({ bootId, accelerator }));
  return accelerator;
}

const there = (): Promise<boolean> =>
  access(DEVICE).then(
    () => true,
    () => false,
  );

async function boots(kernel: string): Promise<boolean> {
  const { stdout } = await execa(
    'qemu-system-x86_64',
    [
      ...['-accel', 'kvm', '-m', '256', '-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio'],
      ...['-kernel', kernel, '-append', 'console=ttyS0 panic=-1'],
    ],
    { reject: false, timeout: PROBE_MS, forceKillAfterDelay: 500, stdin: 'ignore' },
  );
  return stdout.includes(ALIVE);
}
