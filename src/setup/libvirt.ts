import { spawn } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import type { Config } from '../config.js';

const WITHIN_MS = 30_000;

/** Makes libvirt answer: by its service where systemd is, by starting it otherwise. No configuration of it is changed. */
export async function prepareLibvirt(config: Config, say: (line: string) => void): Promise<void> {
  if (await answers(config)) return;
  const systemd = await access('/run/systemd/system').then(
    () => true,
    () => false,
  );
  say(systemd ? 'enabling libvirtd' : 'starting libvirtd');
  if (systemd) await execa('systemctl', ['enable', '--now', 'virtlogd.socket', 'libvirtd.socket', 'libvirtd.service']);
  else await startWithoutSystemd(config);
  const end = Date.now() + WITHIN_MS;
  while (!(await answers(config))) {
    if (Date.now() > end)
      throw new Error(`libvirt does not answer at ${config.libvirtUri}. Try: virsh -c ${config.libvirtUri} version`);
    await delay(100);
  }
}

async function answers(config: Config): Promise<boolean> {
  return (
    (await execa('virsh', ['-c', config.libvirtUri, 'version'], { reject: false, timeout: 10_000 })).exitCode === 0
  );
}

/**
 * `tini` as a subreaper: without a parent that reaps, a QEMU that has exited stays a zombie for up to two seconds, and
 * libvirt waits for it.
 */
async function startWithoutSystemd(config: Config): Promise<void> {
  const logs = path.join(config.home, 'logs');
  await mkdir(logs, { recursive: true, mode: 0o700 });
  await execa('virtlogd', ['-d'], { reject: false });
  const log = openSync(path.join(logs, 'libvirtd.log'), 'a', 0o600);
  spawn('tini', ['-s', '--', 'libvirtd'], { detached: true, stdio: ['ignore', log, log] }).unref();
  closeSync(log);
}
