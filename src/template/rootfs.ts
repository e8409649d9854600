import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { aptSources } from './apt-sources.js';
import { makeInitrd } from './initrd.js';

const recipe = fileURLToPath(new URL('./recipe/', import.meta.url));
/** Has the driver for VMGENID, by which a clone's kernel reseeds; Debian 12's own 6.1 has not. */
export const KERNEL_PACKAGE = 'linux-image-cloud-amd64';

export interface RootfsOptions {
  outDir: string;
  /** Directory of the bundled agent. */
  agentDir: string;
  /** Node binary that runs in the guest: of the agent, and of users. */
  nodeBinary: string;
  diskMiB: number;
  log: (line: string) => void;
}

export interface Rootfs {
  /** qcow2, standalone. */
  rootfs: string;
  kernel: string;
  initrd: string;
  versions: Record<string, string>;
}

/**
 * Makes the guest's root filesystem: Debian 12 by mmdebstrap, the recipe's files over it, agent and Node inside.
 * @throws Error with the end of the failed tool's output.
 */
export async function buildRootfs(options: RootfsOptions): Promise<Rootfs> {
  const work = await mkdtemp(path.join(options.outDir, 'rootfs-'));
  const root = path.join(work, 'root');
  try {
    const packages = (await readFile(path.join(recipe, 'packages.txt'), 'utf8')).trim().split('\n');
    options.log('mmdebstrap: Debian 12 and its packages');
    await mmdebstrap(root, packages, options);
    const boot = await readdir(path.join(root, 'boot'));
    const files = {
      rootfs: path.join(options.outDir, 'rootfs.qcow2'),
      kernel: await take(path.join(root, 'boot', only(boot, 'vmlinuz-')), path.join(options.outDir, 'kernel.built')),
      initrd: path.join(options.outDir, 'initrd.built'),
    };
    await makeInitrd({ to: files.initrd, source: path.join(recipe, 'init.c'), driver: await diskDriver(root) });
    await chmod(files.initrd, 0o444);
    const versions = await packageVersions(root);
    options.log('file system image');
    const raw = path.join(work, 'rootfs.raw');
    await execa('truncate', ['-s', `${options.diskMiB}M`, raw]);
    await execa('mkfs.ext4', [
      '-q',
      '-F',
      '-L',
      'sandbox',
      '-E',
      'lazy_itable_init=0,lazy_journal_init=0',
      '-d',
      root,
      raw,
    ]);
    await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, files.rootfs]);
    return { ...files, versions };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function mmdebstrap(root: string, packages: string[], options: RootfsOptions): Promise<void> {
  const extras = path.join(path.dirname(root), 'extras');
  await cp(path.join(recipe, 'files'), extras, { recursive: true });
  await installAgent(extras, options);
  // Debian's initrd, which is not used, is not made either.
  const env = { INITRD: 'No' };
  await execa(
    'mmdebstrap',
    [
      ...['--variant=minbase', '--mode=root', '--format=directory', '--quiet'],
      `--include=${[...packages, `${KERNEL_PACKAGE}/bookworm-backports`].join(',')}`,
      `--customize-hook=copy-in ${(await readdir(extras)).map((entry) => path.join(extras, entry)).join(' ')} /`,
      `--customize-hook=${path.join(recipe, 'customize.sh')} "$1"`,
      ...['bookworm', root],
      ...(await aptSources()),
    ],
    { env },
  );
}

/** npm comes from the npm package, which is the same everywhere; Debian's would pull in hundreds of packages. */
async function installAgent(extras: string, options: RootfsOptions): Promise<void> {
  const opt = path.join(extras, 'opt/dormouse');
  const local = path.join(extras, 'usr/local');
  await mkdir(opt, { recursive: true });
  await mkdir(path.join(local, 'bin'), { recursive: true });
  await mkdir(path.join(local, 'lib/node_modules'), { recursive: true });
  await cp(options.agentDir, path.join(opt, 'lib'), { recursive: true });
  await copyFile(options.nodeBinary, path.join(local, 'bin/node'));
  await chmod(path.join(local, 'bin/node'), 0o755);
  const npm = path.dirname(createRequire(import.meta.url).resolve('npm/package.json'));
  await cp(npm, path.join(local, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', path.join(local, 'bin/npm'));
  await symlink('../lib/node_modules/npm/bin/npx-cli.js', path.join(local, 'bin/npx'));
}

async function diskDriver(root: string): Promise<string> {
  const modules = path.join(root, 'lib/modules');
  const directory = path.join(modules, only(await readdir(modules), ''), 'kernel/drivers/block');
  return path.join(directory, only(await readdir(directory), 'virtio_blk.ko'));
}

function only(names: string[], prefix: string): string {
  const found = names.filter((name) => name.startsWith(prefix));
  if (found.length !== 1)
    throw new Error(`the guest has ${found.length} files ${prefix}* of its kernel's; expected one`);
  return found[0]!;
}

async function take(from: string, to: string): Promise<string> {
  await rename(from, to);
  await chmod(to, 0o444);
  return to;
}

async function packageVersions(root: string): Promise<Record<string, string>> {
  const { stdout } = await execa('dpkg-query', [`--admindir=${root}/var/lib/dpkg`, '-W', '-f=${Package} ${Version}\n']);
  return Object.fromEntries(stdout.split('\n').map((line) => line.split(' ') as [string, string]));
}
