import { access, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import type { Config } from '../config.js';
import { readJson, writeDurably } from '../durable-file.js';

const PROBE_MS = 8_000;
/** The kernel's first words on its serial console; by then it has been through long mode. */
const ALIVE = 'Linux version';

/**
 * KVM where it works, emulation otherwise. `/dev/kvm` being there proves nothing: a kernel is booted under KVM for a few
 * seconds, once per boot of the host.
 */
export async function chooseAccelerator(config: Config, say: (line: string) => void): Promise<'kvm' | 'tcg'> {
  if (config.accelerator !== 'auto') return config.accelerator;
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const file = path.join(config.toolsDir, 'accelerator.json');
  const before = (await readJson(file)) as { bootId?: string; accelerator?: 'kvm' | 'tcg' } | undefined;
  if (before?.bootId === bootId && before.accelerator !== undefined) return before.accelerator;
  const works = await probe(config);
  if (works === undefined) {
    say(
      'no kernel is at hand to try KVM with; guests will be emulated. Set DORMOUSE_ACCELERATOR=kvm if you know that KVM works here.',
    );
    return 'tcg';
  }
  const accelerator = works ? 'kvm' : 'tcg';
  if (!works) say('KVM does not work on this machine: guests are EMULATED, which is many times slower');
  await writeDurably(file, JSON.stringify({ bootId, accelerator }));
  return accelerator;
}

/** @returns undefined when it could not be tried. */
async function probe(config: Config): Promise<boolean | undefined> {
  const device = await access('/dev/kvm').then(
    () => true,
    () => false,
  );
  if (!device) return false;
  const kernel = await findKernel(config);
  if (kernel === undefined) return undefined;
  const { stdout } = await execa(
    'qemu-system-x86_64',
    [
      '-accel',
      'kvm',
      '-m',
      '256',
      '-nographic',
      '-no-reboot',
      '-nodefaults',
      '-serial',
      'stdio',
      '-kernel',
      kernel,
      '-append',
      'console=ttyS0 panic=-1',
    ],
    { reject: false, timeout: PROBE_MS, forceKillAfterDelay: 500, stdin: 'ignore' },
  );
  return stdout.includes(ALIVE);
}

async function findKernel(config: Config): Promise<string | undefined> {
  const boot = (await readdir('/boot').catch(() => [])).filter((name) => name.startsWith('vmlinuz-'));
  const templates = (await readdir(config.templateDir).catch(() => [])).map((key) =>
    path.join(config.templateDir, key, 'vmlinuz'),
  );
  for (const file of [...boot.map((name) => path.join('/boot', name)), ...templates]) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  return undefined;
}
