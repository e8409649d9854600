import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { execa } from 'execa';

/** What a figure depends on, besides the code. */
export interface MachineFacts {
  cpu: string;
  cores: number;
  memoryGiB: number;
  accelerator: string;
  qemu: string;
  libvirt: string;
  node: string;
  /** Its version, without what its builder added. */
  kernel: string;
}

export async function machineFacts(accelerator: string): Promise<MachineFacts> {
  const first = async (command: string, args: string[]): Promise<string> =>
    (await execa(command, args, { reject: false })).stdout.split('\n')[0] ?? '';
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    accelerator,
    qemu: (await first('qemu-system-x86_64', ['--version'])).replace(/^QEMU emulator version /, ''),
    libvirt: await first('libvirtd', ['--version']),
    node: process.version,
    kernel: /^[\d.]*\d/.exec(await readFile('/proc/sys/kernel/osrelease', 'utf8'))?.[0] ?? 'unknown',
  };
}

/** The commit that a result is about; one with changes that are in no commit is another. */
export async function currentCommit(): Promise<string> {
  const { stdout } = await execa('git', ['describe', '--always', '--dirty', '--abbrev=10', '--exclude=*']);
  return stdout.trim();
}
